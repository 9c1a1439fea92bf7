"""What is run for the claims: `PARTS` is the registry. Data, policies, and the latencies that thresholds are chosen for.

Knows no model and no verdict.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from errors import InvalidValueError
from evaluation.calibration import Metric
from evaluation.policies import Policy
from tasks.data import read_data
from tasks.example import Example

DATA = "{data}/"  # stands for the folder of the data sets
TATOEBA, LOHELP, GNOME = (
    "{data}/tatoeba-en-de/%s.tsv.gz",
    "{data}/docs-and-dialogue/lohelp.en-de.%s.tsv.gz",
    "{data}/docs-and-dialogue/gnome.en-de.%s.tsv.gz",
)
DIGITS, SENTENCES = "{data}/digits/%s.jsonl", "{data}/speech/%s.jsonl"  # what recipes.digits and recipes.speech wrote
SQUAD, NEEDLE = "{data}/squad-v1.1/%s.json.gz", "needle:%s:{count}"


@dataclass(frozen=True)
class Aim:
    """The latency that a head's threshold is chosen for, on development data: `plus`, more than that of the policy `of` if one is given.

    purpose: as of a Point
    """

    purpose: str
    metric: Metric
    plus: float = 0.0
    of: Policy | None = None


@dataclass(frozen=True)
class Part:
    """One run.

    data:        data sets, with %s for the split and `{data}` for their folder; development items are at most `dev_items`, spread evenly
    items:       how many test items the claim asks for; None: all that have `min_words`
    probes:      H0: the signals at every prefix are kept, and no policy is run
    heads, aims: each head at the threshold of each aim; grid: how many are tried on development data; tiers: heads whose tiers are run
    """

    task: str
    data: tuple[str, ...]
    metrics: tuple[str, ...] = ()
    latencies: tuple[str, ...] = ("RCO",)
    items: int | None = None
    min_words: int = 0
    dev_items: int = 300
    probes: bool = False
    heads: tuple[str, ...] = ()
    aims: tuple[Aim, ...] = ()
    grid: int = 40
    tiers: tuple[str, ...] = ()
    baselines: tuple[str, ...] = ()

    def test(self, root: Path, limit: int | None = None) -> list[Example]:
        """The items that are judged, the first `limit` of an even spread. Raises what read_data raises, InvalidValueError for too few."""
        count = self.items or 0
        found = self._read(root, "test", count)
        if len(found) < count:
            raise InvalidValueError(f"expected at least {count} test items; got {len(found)}", param="data")
        return spread(found, min(limit or len(found), count or len(found)))

    def dev(self, root: Path, limit: int | None = None) -> list[Example]:
        """The items that thresholds are chosen on. Raises what read_data raises."""
        return spread(self._read(root, "dev", self.dev_items), min(limit or self.dev_items, self.dev_items))

    def names(self, split: str) -> tuple[str, ...]:
        """The data sets of a split, as they are told."""
        return tuple((name % split).replace(DATA, "").replace(":{count}", "") for name in self.data)

    def _read(self, root: Path, split: str, count: int) -> list[Example]:
        references = [(name % split).format(data=root, count=count) for name in self.data]
        every = [example for reference in references for example in read_data(reference, self.task)]
        return [example for example in every if len(example.source.split()) >= self.min_words]


def spread(examples: Sequence[Example], count: int) -> list[Example]:
    """`count` of them, evenly over data that may be sorted."""
    return [examples[i * len(examples) // count] for i in range(count)] if len(examples) > count else list(examples)


CURVE = tuple(Aim("curve", "rco", share) for share in (0.5, 0.6, 0.7, 0.8, 0.9))
QA_BASELINES = ("full", "oracle", "fixed_fraction", "wait_k")
TRANSLATION = (TATOEBA, LOHELP, GNOME)
# A margin below what the claim allows, as the threshold is chosen on other items than it is judged on.
NEEDLE_AIM = Aim("point", "rco", 0.05, Policy("oracle", 1.0))
SQUAD_AIM = Aim("point", "rco", 0.82)
AS_FAST_AS = tuple(Aim(f"wait-{k}", "laal", of=Policy("wait_k", float(k))) for k in (3, 5, 7))
HEADS = ("entropy", "attention")
MENDED = "weighted"  # of the translation, whose entropy head alone loses to wait-k
DIGITS_POINT = "judged"  # where the digits' claim is
SPEECH = ("full", "wait_k")

NEEDLE_QA = Part(
    "answer", (NEEDLE,), ("exact_match",), items=2000, heads=HEADS, aims=(NEEDLE_AIM, *CURVE), tiers=HEADS, baselines=QA_BASELINES
)
SQUAD_QA = Part(
    "answer", (SQUAD,), ("f1", "exact_match"), items=1008, heads=HEADS, aims=(SQUAD_AIM, *CURVE), tiers=HEADS, baselines=QA_BASELINES
)


def only_full(part: Part) -> Part:
    """The part as the plain checkpoint, from before the losses that are judged, runs it."""
    return replace(part, heads=(), aims=(), tiers=(), baselines=("full",))


def is_plain(name: str) -> bool:
    """True for a part that the plain checkpoint runs."""
    return name.endswith(".plain")


PARTS: dict[str, Part] = {
    "h0-needle": Part("answer", (NEEDLE,), items=200, probes=True),
    "h0-squad": Part("answer", (SQUAD,), items=200, probes=True),
    "h0-translate": Part("translate", TRANSLATION, items=200, min_words=10, probes=True),
    "h1-needle": NEEDLE_QA,
    "h1-needle.plain": only_full(NEEDLE_QA),
    "h1-squad": SQUAD_QA,
    "h1-squad.plain": only_full(SQUAD_QA),
    "h2-translate": Part(
        "translate",
        TRANSLATION,
        ("bleu",),
        ("RCO", "LAAL"),
        min_words=10,
        dev_items=120,
        heads=("entropy", MENDED),
        grid=10,
        aims=AS_FAST_AS,
        baselines=("full", "wait_k"),
    ),
    "speech-digits": Part(
        "transcribe",
        (DIGITS,),
        ("wer_words",),
        ("WORD_LAG", "LAAL", "RCO"),
        items=300,
        dev_items=30,
        heads=HEADS,
        grid=12,
        # Judged where the default tier of checkpoints/transcribe-en aims.
        aims=(Aim("curve", "lag", 800), Aim(DIGITS_POINT, "rco", 0.58), *(Aim("curve", "rco", share) for share in (0.75, 0.9))),
        baselines=SPEECH,
    ),
    "speech-sentences": Part(
        "transcribe",
        (SENTENCES,),
        ("wer_words",),
        ("LAAL", "RCO"),
        items=200,
        dev_items=30,
        heads=HEADS,
        aims=tuple(Aim("curve", "rco", share) for share in (0.65, 0.75, 0.85, 0.92)),
        grid=12,
        baselines=SPEECH,
    ),
    "h3-translate": Part("translate", (TATOEBA,), ("bleu",), ("RCO", "AIL", "LAAL"), tiers=(MENDED,), baselines=("full",)),
}
