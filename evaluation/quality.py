"""Quality of hypotheses against references, made for resampling: an item gives a vector, and a corpus is scored from their weighted sum.

`QUALITY` is the registry: a new metric is one class and one line. Knows no latency, no model and no task.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import jiwer
import numpy as np
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer  # type: ignore[import-untyped]

from evaluation import answers
from evaluation.bootstrap import Array, ratio


class CorpusStatistic(Protocol):
    """A number of a corpus that is a function of sums over its items."""

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Array:
        """[F] of one item; `references` has at least one, the first of them the main one."""
        ...

    def score(self, statistics: Array) -> Array:
        """[...] from sums [..., F] of items' statistics, each item any whole number of times; NaN where there is nothing to divide by."""
        ...


class QualityMetric(CorpusStatistic, Protocol):
    """One that says how good the hypotheses are, and so has a direction and a scale."""

    @property
    def higher_is_better(self) -> bool:
        """The direction."""
        ...

    @property
    def scale(self) -> str:
        """What its numbers mean."""
        ...


class Bleu:
    """BLEU (Papineni et al. 2002) as sacrebleu's corpus_bleu: cased, 13a tokens, exponential smoothing, the closest reference's length.

    statistics: matched n-grams 1 to 4, n-grams 1 to 4, hypothesis length, reference length. Higher is better.
    """

    higher_is_better = True
    scale = "0-100"

    def __init__(self) -> None:
        # effective_order only silences a notice: the sentence's score is not used.
        self._bleu = sacrebleu.BLEU(effective_order=True)

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Array:
        """[10]."""
        found = self._bleu.sentence_score(hypothesis, list(references))
        return np.array([*found.counts, *found.totals, found.sys_len, found.ref_len], dtype=np.float64)

    def score(self, statistics: Array) -> Array:
        """BLEU of the sums; 0 where no n-gram matches."""
        return _by_row(self._one, statistics)

    @staticmethod
    def _one(row: list[float]) -> float:
        counts = [round(value) for value in row]
        return float(sacrebleu.BLEU.compute_bleu(counts[:4], counts[4:8], counts[8], counts[9], smooth_method="exp").score)


class ChrF:
    """chrF (Popović 2015) as sacrebleu's corpus_chrf: cased, character n-grams 1 to 6, beta 2, no blanks; the best reference of each item.

    statistics: for each order n-grams of the hypothesis, of the reference, and matched. Higher is better.
    """

    higher_is_better = True
    scale = "0-100"

    def __init__(self) -> None:
        # sacrebleu gives an item's counts to its own significance tests only, so what they call is called here; tests compare.
        self._chrf: Any = sacrebleu.CHRF()

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Array:
        """[18]."""
        (counts,) = self._chrf._extract_corpus_statistics([hypothesis], [[reference] for reference in references])
        return np.array(counts, dtype=np.float64)

    def score(self, statistics: Array) -> Array:
        """The chrF of the sums; 0 where nothing matches."""
        return _by_row(lambda row: float(self._chrf._compute_score_from_stats(row).score), statistics)


@dataclass(frozen=True)
class Mean:
    """100 times the mean over items of a number in [0, 1]. statistics: the number, and 1. Higher is better."""

    item: Callable[[str, Sequence[str]], float]
    higher_is_better: bool = True
    scale: str = "0-100"

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Array:
        """[2]."""
        return np.array([self.item(hypothesis, references), 1.0])

    def score(self, statistics: Array) -> Array:
        """Percent."""
        return 100 * ratio(statistics)


class Rouge:
    """F-measure of one ROUGE kind (Lin 2004) by rouge-score with its stemmer; the best over an item's references, as its score_multi.

    rougeL is that of the whole text, not of its lines. A function for `Mean`.
    """

    def __init__(self, kind: Literal["rouge1", "rouge2", "rougeL"]) -> None:
        self._kind = kind
        self._scorer = RougeScorer([kind], use_stemmer=True)

    def __call__(self, hypothesis: str, references: Sequence[str]) -> float:
        """In [0, 1]."""
        return float(self._scorer.score_multi(references, hypothesis)[self._kind].fmeasure)


class Wer:
    """Word error rate by jiwer: substitutions, deletions and insertions over reference words, as sums of the corpus; lower is better.

    Words are what whitespace separates, cased and with their punctuation; or, if `plain`, without both.
    Of several references the one with the lowest rate counts. statistics: errors, reference words.
    """

    higher_is_better = False
    scale = "%, may exceed 100"

    def __init__(self, *, plain: bool = False) -> None:
        self._plain = plain

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Array:
        """[2]."""
        if self._plain:
            hypothesis, references = answers.plain_words(hypothesis), [answers.plain_words(reference) for reference in references]
        # jiwer splits at blanks only, and would take two lines for one word.
        found = [jiwer.process_words(" ".join(reference.split()), " ".join(hypothesis.split())) for reference in references]
        counts = [(one.substitutions + one.deletions + one.insertions, one.substitutions + one.deletions + one.hits) for one in found]
        return np.array(min(counts, key=lambda pair: pair[0] / max(pair[1], 1)), dtype=np.float64)

    def score(self, statistics: Array) -> Array:
        """Percent."""
        return 100 * ratio(statistics)


class LengthRatio:
    """Hypothesis words over words of the main reference, as sums of the corpus. 1 is right, so neither direction is better.

    Not in `QUALITY`: it stands beside every metric there. statistics: the two numbers of whitespace words.
    """

    def statistics(self, hypothesis: str, references: Sequence[str]) -> Array:
        """[2]."""
        return np.array([len(hypothesis.split()), len(references[0].split())], dtype=np.float64)

    def score(self, statistics: Array) -> Array:
        """A ratio, not a percentage."""
        return ratio(statistics)


QUALITY: dict[str, QualityMetric] = {
    "bleu": Bleu(),
    "chrf": ChrF(),
    "exact_match": Mean(answers.exact_match),
    "f1": Mean(answers.f1),
    "accuracy": Mean(answers.accuracy),
    "rouge1": Mean(Rouge("rouge1")),
    "rouge2": Mean(Rouge("rouge2")),
    "rougeL": Mean(Rouge("rougeL")),
    "wer": Wer(),
    "wer_words": Wer(plain=True),
}


def matrix(metric: CorpusStatistic, hypotheses: Iterable[str], references: Iterable[Sequence[str]]) -> Array:
    """[N, F], the statistics of N >= 1 items; their sum over N is what `score` takes. Raises ValueError for unequal lengths."""
    return np.stack([metric.statistics(one, right) for one, right in zip(hypotheses, references, strict=True)])


def _by_row(one: Callable[[list[float]], float], sums: Array) -> Array:
    """[...] from [..., F], with a library's function of one vector."""
    rows = sums.reshape(-1, sums.shape[-1]).tolist()
    return np.array([one(row) for row in rows], dtype=np.float64).reshape(sums.shape[:-1])


@dataclass(frozen=True)
class Ending:
    """How one output ended.

    text:   the output
    reason: of the `done` event
    read, source_length: phi when it ended, and M, in one unit
    """

    text: str
    reason: str
    read: float
    source_length: float

    @property
    def empty(self) -> bool:
        """Nothing but whitespace was written."""
        return not self.text.strip()

    @property
    def capped(self) -> bool:
        """Runaway: a limit cut it off, of tokens (`length`) or of the KV slot (`context`)."""
        return self.reason in {"length", "context"}

    @property
    def early(self) -> bool:
        """The model ended it (`end`) before all of the source was read."""
        return self.reason == "end" and self.read < self.source_length


def shares(endings: Sequence[Ending]) -> dict[str, float]:
    """Percent of `empty`, `capped` and `early` outputs; lower is better, but for `early` where a task may be answered early."""
    return {name: 100 * float(np.mean([getattr(ending, name) for ending in endings])) for name in ("empty", "capped", "early")}
