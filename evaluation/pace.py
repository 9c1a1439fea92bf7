"""Latency by the clock of a paced run: what a listener waits, with the time that computing takes. Knows one record at a time, no policy.

A run is paced by pieces of the source: one whitespace word, with its blanks, every 1 / pace seconds.
"""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from backbones.source_codec import count_units
from evaluation.bootstrap import Array, Resamples
from evaluation.latency import Delays
from evaluation.record import Record
from tasks.words import pieces

SHARES = (0.50, 0.95)


def first_write(record: Record) -> list[float]:
    """[1] ms from when the first word was sent until the first target token came; [] where there is none or no clock."""
    clock = record.clock
    return [1000 * (clock.writes[0] - clock.sent[0])] if clock and clock.writes and clock.sent else []


def lags(record: Record) -> list[float]:
    """[L] ms of each target token: when it came minus when the last piece of the source that it saw was sent; [] without a clock.

    Tokens that saw no source are left out. A piece holds g_t if it is the first with which g_t units are released: in unsegmented
    scripts a piece has several units.
    """
    clock = record.clock
    if clock is None:
        return []
    released = list(accumulate(count_units(piece) for piece in pieces(record.source)))
    seen = zip(clock.writes, record.delays, strict=True)
    return [1000 * (came - clock.sent[bisect_left(released, g)]) for came, g in seen if g]


def delays(record: Record, pace: float) -> Delays:
    """Computation-aware delays in ms: when each target token came, since the first word was sent.

    pace: pieces a second, > 0. The source's length is the time that it takes at that pace: the number of pieces over the pace.
    """
    writes = record.clock.writes if record.clock else ()
    return Delays(tuple(1000 * came for came in writes), 1000 * len(pieces(record.source)) / pace)


def quantiles(values: Sequence[Sequence[float]], clusters: Sequence[int], resamples: Resamples) -> Array:
    """[2, 1 + R]: p50 and p95 of all values, then of those of each resample; NaN where a resample has none.

    values: of each item, any number; clusters: of each item the number of its cluster, as `resamples` counts them
    The p-quantile is the least value that at least that share of the values does not exceed (the inverse of their distribution).
    """
    flat = np.array([value for some in values for value in some], dtype=np.float64)
    order = np.argsort(flat, kind="stable")
    owner = np.repeat(np.array(clusters, dtype=np.intp), [len(some) for some in values])[order]
    found = np.full((len(SHARES), 1 + len(resamples.weights)), np.nan)
    for row, weights in enumerate([np.ones(resamples.clusters), *resamples.weights]):
        reached = weights[owner].cumsum()
        if flat.size and reached[-1]:
            at_least = np.array(SHARES) * reached[-1] - 1e-9  # 0.95 of a whole number may come out a bit above one
            found[:, row] = flat[order][np.searchsorted(reached, at_least)]
    return found
