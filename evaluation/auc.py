"""Area under the ROC curve with a clustered, paired bootstrap that costs nothing a resample. Knows scores, labels and clusters only."""

import numpy as np
import numpy.typing as npt

from evaluation.bootstrap import Array, Interval, Numbers, Resamples

Labels = npt.NDArray[np.bool_]
Pairs = tuple[Array, Array, Array]  # wins [C, C], positives [C], negatives [C]


def pairs(scores: Array, labels: Labels, clusters: Numbers) -> Pairs:
    """What every resample's area is a function of: wins[a, b] is how many (positive of a, negative of b) are ranked right, ties a half.

    scores [n]; labels [n] bool; clusters [n] in 0 .. C - 1. The Mann-Whitney form of the area, cut into blocks of two clusters.
    """
    count = int(clusters.max()) + 1
    wins = np.zeros((count, count))
    positives = [scores[(clusters == c) & labels] for c in range(count)]
    below = [np.sort(scores[(clusters == c) & ~labels]) for c in range(count)]
    for b, negative in enumerate(below):
        for a, positive in enumerate(positives):
            left, right = negative.searchsorted(positive, "left"), negative.searchsorted(positive, "right")
            wins[a, b] = (left + right).sum() / 2
    return wins, np.array([len(p) for p in positives], dtype=float), np.array([len(n) for n in below], dtype=float)


def area(found: Pairs, weights: Array) -> Array:
    """[R] for weights [R, C]; NaN where a resample has no positive or no negative."""
    wins, positives, negatives = found
    right: Array = ((weights @ wins) * weights).sum(axis=1)
    total: Array = (weights @ positives) * (weights @ negatives)
    return np.divide(right, total, out=np.full_like(right, np.nan), where=total > 0)


def interval(found: Pairs, resamples: Resamples) -> Interval:
    """The area on all clusters and its interval."""
    return resamples.bounded(float(area(found, np.ones((1, len(found[1]))))[0]), area(found, resamples.weights.astype(float)))


def difference(first: Pairs, second: Pairs, resamples: Resamples) -> Interval:
    """The first area minus the second, with the same clusters drawn for both."""
    once, weights = np.ones((1, len(first[1]))), resamples.weights.astype(float)
    value = float((area(first, once) - area(second, once))[0])
    return resamples.bounded(value, area(first, weights) - area(second, weights))


def plain_area(scores: Array, labels: Labels) -> float:
    """The area of [n] scores, all in one cluster. NaN without a positive or a negative."""
    return float(area(pairs(scores, labels, np.zeros(len(scores), dtype=int)), np.ones((1, 1)))[0])
