"""Numbers of a result's policies on all items and on every resample, as a Table has them, from what is committed.

Knows columns and metrics; knows no claim.
"""

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from claims.results import Point, Result
from errors import InvalidValueError
from evaluation.bootstrap import Interval, Resamples, ratio
from evaluation.compare import Curve
from evaluation.quality import QUALITY
from evaluation.table import Key, Rows, interval

LATENCY_KEYS: dict[str, Key] = {
    "RCO": ("words", "RCO"),
    "AIL": ("words", "AIL"),
    "LAAL": ("words_by_word", "LAAL"),
    "WORD_LAG": ("word_ends", "lag_mean"),
}


class Figures:
    """Of one result, on the items that it shares with `others`: with the same others, resamples are the same, and differences paired.

    items: ids, sorted. Raises InvalidValueError where no item is shared.
    """

    def __init__(self, result: Result, *others: Result, count: int = 2000) -> None:
        self.header = result.header
        shared = set.intersection(*({line.id for line in each.lines} for each in (result, *others)))
        lines = sorted((line for line in result.lines if line.id in shared), key=lambda line: line.id)
        if not lines:
            raise InvalidValueError(f"expected items that {result.header.name} and what it is compared with share; got none")
        self.items = [line.id for line in lines]
        clusters = tuple(line.cluster for line in lines)
        if len(set(clusters)) == 1:  # one speaker: intervals are over his recordings, and say nothing about others
            clusters = ("",) * len(lines)
        self.resamples = _resamples(clusters, count)
        nothing = (None,) * len(self.header.columns)
        numbers = np.array([[row or nothing for row in line.rows] for line in lines], dtype=np.float64)  # [N, P, C]
        self._latencies = [place for place, column in enumerate(self.header.columns) if column in LATENCY_KEYS]
        counts = ~np.isnan(numbers[:, :, self._latencies])  # an item without a target has no latency
        every = np.concatenate([np.nan_to_num(numbers), counts], axis=2).reshape(len(lines), -1)
        # All policies at once: what costs is reading the resamples' weights.
        sums = np.concatenate([every.sum(axis=0, keepdims=True), self.resamples.sums(every)])
        self._sums = sums.reshape(len(sums), numbers.shape[1], -1)  # [1 + R, P, C + latencies]
        self._labels = [point.policy.label for point in self.header.points]
        self._known: dict[str, Mapping[Key, Rows]] = {}

    def points(self, curve: str, purpose: str | None = None) -> list[Point]:
        """Of a head or baseline, in the header's order."""
        return [point for point in self.header.points if point.curve == curve and purpose in (None, point.purpose)]

    def label(self, curve: str, purpose: str | None = None) -> str:
        """Of the first of `points`. Raises InvalidValueError where there is none."""
        for point in self.points(curve, purpose):
            return point.policy.label
        raise InvalidValueError(f"expected {self.header.name} to have a policy {curve} {purpose or ''}".rstrip())

    @property
    def metrics(self) -> list[str]:
        """Quality metrics, the main one first."""
        return list(dict.fromkeys(column.split(".")[0] for column in self.header.columns if "." in column))

    def rows(self, label: str) -> Mapping[Key, Rows]:
        """As Table.rows, of the latencies and metrics that the result has."""
        if label not in self._known:
            sums = self._sums[:, self._labels.index(label)]
            columns = self.header.columns
            found = {
                LATENCY_KEYS[columns[place]]: ratio(sums[:, [place, len(columns) + number]]) for number, place in enumerate(self._latencies)
            }
            for metric in self.metrics:
                places = [place for place, column in enumerate(columns) if column.startswith(f"{metric}.")]
                found["quality", metric] = QUALITY[metric].score(sums[:, places])
            self._known[label] = found
        return self._known[label]

    def figure(self, label: str, key: Key) -> Interval:
        """One number with its interval."""
        return interval(self.rows(label)[key])

    def curve(self, name: str, metric: str, axis: Key, *, purpose: str | None = None) -> Curve:
        """Quality against latency of a head or baseline; the full view is its last point."""
        labels = list(dict.fromkeys(point.policy.label for point in (*self.points(name, purpose), *self.points("full"))))
        return Curve.of(self, labels, metric, axis)


@cache
def _resamples(clusters: Sequence[str], count: int) -> Resamples:
    return Resamples(clusters, count=count)
