"""Paired bootstrap over clusters of items: one set of resamples serves every metric, system and threshold of a comparison.

Knows no metric: a statistic is a function of sums over items.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from errors import InvalidValueError

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.intp]
Score = Callable[[Array], Array]  # [..., F] sums of items' statistics -> [...]

BLOCK = 256  # resamples that are multiplied at once: weights are kept as small integers, and only a block of them as floats


@dataclass(frozen=True)
class Interval:
    """A number on all items and its 95% percentile interval (Efron 1979); NaN bounds where nothing can be said: fewer than two clusters."""

    value: float
    low: float
    high: float


class Resamples:
    """`count` resamples of the clusters, with replacement: items of one cluster (passage, document) come and go together.

    clusters: one key an item, in the order that every matrix of statistics has; "" makes the item a cluster of its own
    cluster:  [N] the number of each item's cluster, in 0 .. C - 1
    The same clusters, count and seed give the same resamples. Memory: 4 bytes a resample and cluster.
    """

    def __init__(self, clusters: Sequence[str], count: int = 2000, seed: int = 0) -> None:
        numbers: dict[str | int, int] = {}
        self.cluster: Numbers = np.array(
            [numbers.setdefault(key or item, len(numbers)) for item, key in enumerate(clusters)], dtype=np.intp
        )
        self.clusters = len(numbers)
        self.weights = np.zeros((count, self.clusters), dtype=np.int32)  # [R, C]: how often a resample has the cluster
        generator = np.random.default_rng(seed)
        for row in self.weights:
            drawn = generator.integers(self.clusters, size=self.clusters) if self.clusters else self.cluster
            row[:] = np.bincount(drawn, minlength=self.clusters)

    def sums(self, statistics: Array) -> Array:
        """[R, F]: the items' statistics [N, F] summed over every resample. Raises InvalidValueError for another number of items."""
        items = len(self.cluster)
        if statistics.ndim != 2 or len(statistics) != items:
            raise InvalidValueError(f"expected statistics of shape [{items}, F]; got {list(statistics.shape)}", param="statistics")
        by_cluster = np.zeros((self.clusters, statistics.shape[1]))
        np.add.at(by_cluster, self.cluster, statistics)
        blocks = [self.weights[start : start + BLOCK].astype(np.float64) @ by_cluster for start in range(0, len(self.weights), BLOCK)]
        return np.concatenate(blocks)

    def interval(self, statistics: Array, score: Score) -> Interval:
        """`score` of all items and its interval.

        statistics: [N, F]; a mean: `counted(values)` with `ratio`; a ratio of means: the two numbers of each item with `ratio`
        """
        return self.bounded(float(score(statistics.sum(axis=0))), score(self.sums(statistics)))

    def difference(self, first: Array, second: Array, score: Score) -> Interval:
        """`score` of `first` minus that of `second`, two systems on the same items, and its paired interval.

        Every resample takes the same items of both, so what makes an item hard cancels. Statistics as in `interval`.
        """
        value = float(score(first.sum(axis=0)) - score(second.sum(axis=0)))
        return self.bounded(value, score(self.sums(first)) - score(self.sums(second)))

    def bounded(self, value: float, scores: Array) -> Interval:
        """`value` with the interval of `scores` [R], its numbers on the resamples; those that have none are left out."""
        known = scores[~np.isnan(scores)]  # a resample may have no item that the metric is defined for
        if self.clusters < 2 or not known.size:
            return Interval(value, float("nan"), float("nan"))
        low, high = np.quantile(known, [0.025, 0.975])
        return Interval(value, float(low), float(high))


def counted(values: Sequence[float | None]) -> Array:
    """[N, 2]: each value and 1, whose sums make the mean; None and NaN are 0 and 0, that is, left out."""
    numbers = np.array(values, dtype=np.float64)
    known = ~np.isnan(numbers)
    return np.stack([np.where(known, numbers, 0.0), known.astype(np.float64)], axis=1)


def ratio(sums: Array) -> Array:
    """[...]: the first of two sums [..., 2] over the second; NaN where the second is 0."""
    above, below = sums[..., 0], sums[..., 1]
    return np.divide(above, below, out=np.full_like(above, np.nan), where=below != 0)


def paired(first: Array, second: Array) -> tuple[Array, Array]:
    """Two matrices [N, 2] for `ratio`, both without the items that either leaves out: a difference is of the same items."""
    both = ((first[:, 1] != 0) & (second[:, 1] != 0))[:, None]
    return np.where(both, first, 0.0), np.where(both, second, 0.0)
