"""Every number of every policy, on all items and on every resample of them: what summaries and comparisons are made of.

Knows records and metrics; knows no file and no verdict.
"""

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from errors import InvalidValueError
from evaluation import pace, word_lag
from evaluation.bootstrap import Array, Interval, Resamples, Score, counted, ratio
from evaluation.latency import LATENCY, Delays, coverage
from evaluation.policies import ALL_BASELINES
from evaluation.quality import QUALITY, Ending, LengthRatio
from evaluation.record import Record

Rows = Array  # [1 + R]: a number on all items, then on each of R resamples; NaN where it is not defined
Key = tuple[str, str]  # group and name: ("quality", "bleu"), ("words", "RCO")
Column = tuple[Key, Array, Score]  # statistics [N, F], and what makes the number from their sums
COVERAGE: Key = ("words", "RCO")
MAX_UNDEFINED = 0.05  # share of resamples without a number, above which those that have one are no fair sample


class Table:
    """Records by policy and item, on one set of resamples: whatever is compared is compared on the same items of every resample.

    labels:  policies, heads first, then the baselines in their own order, each curve by its threshold
    items:   sorted ids of the items that every policy has; the oracle may lack some, and has its numbers of those it has
    pace:    of the run, for latencies in ms; 0: none
    The order of the records means nothing. Raises InvalidValueError where no item is left.
    """

    def __init__(self, records: Iterable[Record], metrics: Sequence[str], *, pace: float = 0.0, count: int = 2000, seed: int = 0) -> None:
        self._found: dict[str, dict[str, Record]] = defaultdict(dict)
        for record in records:
            self._found[record.policy][record.id] = record
        self.labels = sorted(self._found, key=self._place)
        has = {label: set(found) for label, found in self._found.items() if self.baseline(label) != "oracle"}
        shared = set.intersection(*has.values()) if has else set()
        self.items = sorted(shared)
        if not self.items:
            raise InvalidValueError("expected at least one item that every policy has; got none: run the evaluation to its end")
        self.metrics, self.pace, self.seed = tuple(metrics), pace, seed
        some = self._found[next(iter(has))]
        keys = [some[item].cluster for item in self.items]
        self.resamples = Resamples(keys, count=count, seed=seed)
        self._statistics = functools.cache(_statistics)  # many policies write the same
        self._rows: dict[str, dict[Key, Rows]] = {}

    def records(self, label: str) -> list[Record | None]:
        """[N] in the order of `items`; None where the oracle has no such item."""
        return [self._found[label].get(item) for item in self.items]

    def one(self, label: str) -> Record:
        """Any record of a policy, for what all of them share."""
        return next(iter(self._found[label].values()))

    def lacking(self) -> dict[str, int]:
        """How many items each policy has, of those policies that lack some that others have."""
        every = set[str]().union(*self._found.values())
        return {label: len(self._found[label]) for label in self.labels if len(self._found[label]) < len(every)}

    def baseline(self, label: str) -> str | None:
        """The name of the baseline that a policy is a point of; None for a head."""
        curve = self.one(label).curve
        return curve if curve in ALL_BASELINES else None

    def curve(self, label: str) -> str:
        """A baseline's name, whatever its parameters; a head's name with its parameters: other parameters make another curve."""
        name = self.one(label).curve
        given = label.removeprefix(name)
        return name if self.baseline(label) else name + given[: given.rfind(")") + 1]

    def curves(self) -> dict[str, list[str]]:
        """Curve -> its policies, in the order of `labels`."""
        found: dict[str, list[str]] = defaultdict(list)
        for label in self.labels:
            found[self.curve(label)].append(label)
        return dict(found)

    def rows(self, label: str) -> Mapping[Key, Rows]:
        """Every number of a policy. RCO is the mean of ratios, RCO_of_means the ratio of means.

        quality: each metric on its own scale. outputs: length_ratio, and percent of empty, capped, early and errors.
        words, words_by_word, tokens, ms: latencies in the conventions of the report; the last two only where they were recorded.
        pace: ms until the first write and of lag, p50 and p95; only with a clock
        word_ends: ms from the end of each word to its write, mean, p50 and p95; only where recordings say when words end
        """
        if label not in self._rows:
            self._rows[label] = self._sampled(label)
        return self._rows[label]

    def _place(self, label: str) -> tuple[int, str, float, str]:
        curve, threshold = self.curve(label), self.one(label).threshold
        rank = ALL_BASELINES.index(curve) + 1 if curve in ALL_BASELINES else 0
        return rank, curve, float("-inf") if threshold is None else threshold, label

    def _sampled(self, label: str) -> dict[Key, Rows]:
        records = self.records(label)
        present = [place for place, record in enumerate(records) if record is not None]
        known = [record for record in records if record is not None]
        lags = _word_lags(known)
        columns = [*self._quality(known), *_outputs(known), *_latencies(known, self.pace), *_lag_means(lags)] if known else []
        every = np.zeros((len(records), sum(statistics.shape[1] for _, statistics, _ in columns)))
        if columns:
            every[present] = np.hstack([statistics for _, statistics, _ in columns])
        sums = np.vstack([every.sum(axis=0), self.resamples.sums(every)])
        found, start = dict[Key, Rows](), 0
        for key, statistics, score in columns:
            found[key] = score(sums[:, start : start + statistics.shape[1]])
            start += statistics.shape[1]
        return {key: self._trusted(row) for key, row in {**found, **self._paced(known, present), **self._spoken(lags, present)}.items()}

    def _trusted(self, row: Rows) -> Rows:
        """Of fewer than two clusters the resamples are all the same and say nothing."""
        return row if self.resamples.clusters > 1 else np.concatenate([row[:1], np.full(len(row) - 1, np.nan)])

    def _quality(self, records: Sequence[Record]) -> list[Column]:
        return [
            (("quality", name), np.stack([self._statistics(name, r.target, r.references) for r in records]), QUALITY[name].score)
            for name in self.metrics
        ]

    def _paced(self, records: Sequence[Record], present: Sequence[int]) -> dict[Key, Rows]:
        found: dict[Key, Rows] = {}
        if records and all(record.clock for record in records):
            for name, of_record in (("first_write", pace.first_write), ("lag", pace.lags)):
                found |= self._quantiles("pace", name, [of_record(record) for record in records], present)
        return found

    def _spoken(self, lags: Sequence[Sequence[float]], present: Sequence[int]) -> dict[Key, Rows]:
        return self._quantiles("word_ends", "lag", lags, present) if lags else {}

    def _quantiles(self, group: str, name: str, values: Sequence[Sequence[float]], present: Sequence[int]) -> dict[Key, Rows]:
        p50, p95 = pace.quantiles(values, self.resamples.cluster[present].tolist(), self.resamples)
        return {(group, f"{name}_p50"): p50, (group, f"{name}_p95"): p95}


def interval(row: Rows) -> Interval:
    """The number and its 95% percentile interval; NaN bounds where more than MAX_UNDEFINED of the resamples have no number."""
    known = row[1:][~np.isnan(row[1:])]
    if np.isnan(row[0]) or not known.size or known.size < (1 - MAX_UNDEFINED) * (len(row) - 1):
        return Interval(float(row[0]), float("nan"), float("nan"))
    low, high = np.quantile(known, [0.025, 0.975])
    return Interval(float(row[0]), float(low), float(high))


def _statistics(metric: str, target: str, references: tuple[str, ...]) -> Array:
    return QUALITY[metric].statistics(target, references)


def _outputs(records: Sequence[Record]) -> list[Column]:
    length = LengthRatio()
    endings = [Ending(r.target, r.reason, r.read, r.source_length) for r in records]
    flags = {name: [bool(getattr(ending, name)) for ending in endings] for name in ("empty", "capped", "early")}
    flags["errors"] = [record.error is not None for record in records]
    return [
        (("outputs", "length_ratio"), np.stack([length.statistics(r.target, r.references) for r in records]), length.score),
        *((("outputs", name), counted([100.0 * flag for flag in given]), ratio) for name, given in flags.items()),
    ]


def _word_lags(records: Sequence[Record]) -> list[list[float]]:
    """Of each record; none where a recording does not say when its words end."""
    return [word_lag.lags(record) for record in records] if all(record.word_ends for record in records) else []


def _lag_means(lags: Sequence[Sequence[float]]) -> list[Column]:
    found = np.array([(sum(each), len(each)) for each in lags], dtype=np.float64)
    return [(("word_ends", "lag_mean"), found, ratio)] if lags else []


def _latencies(records: Sequence[Record], words_a_second: float) -> list[Column]:
    conventions: dict[str, Callable[[Record], Delays]] = {"words": _words, "words_by_word": _words_by_word}
    if all(record.token_delays is not None and record.source_tokens for record in records):
        conventions["tokens"] = _tokens
    if words_a_second and all(record.clock for record in records):
        conventions["ms"] = lambda record: pace.delays(record, words_a_second)
    columns: list[Column] = []
    for group, of_record in conventions.items():
        items = [of_record(record) for record in records]
        columns += [((group, name), counted([metric(item) for item in items]), ratio) for name, metric in LATENCY.items()]
        columns.append(((group, "RCO_of_means"), np.array([coverage(item) for item in items]), ratio))
    return columns


def _words(record: Record) -> Delays:
    """The paper's: source words at each target token."""
    return Delays(record.delays, record.source_length)


def _words_by_word(record: Record) -> Delays:
    """SimulEval's: source words at each whitespace word of the target, and the reference's length in words."""
    return Delays(record.word_delays, record.source_length, len(record.references[0].split()))


def _tokens(record: Record) -> Delays:
    """Source tokens at each target token."""
    return Delays(record.token_delays or (), record.source_tokens or 0)
