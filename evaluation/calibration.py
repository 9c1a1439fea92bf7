"""Finds the threshold at which a head reaches a latency: a few thresholds are run, an isotonic curve fitted, and inverted.

Knows how to ask for the latency at a threshold; runs no engine and writes no file.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast

import numpy as np
from sklearn.isotonic import IsotonicRegression  # type: ignore[import-untyped]

from errors import InvalidValueError
from evaluation import word_lag
from evaluation.latency import LATENCY, Delays, mean
from evaluation.record import Record

Metric = Literal["rco", "ail", "laal", "lag"]
FIRST, MOST = 8, 16  # thresholds run at first, and at most
CLOSE = {"rco": 0.005, "ail": 0.1, "laal": 0.1, "lag": 20.0}  # no further threshold is run for a target that is met as closely
TARGET = re.compile(r"(?:(\w+):)?(rco|ail|laal|lag)=(-?\d+(?:\.\d+)?)")
NAMES = {1: ("medium",), 2: ("low", "high"), 3: ("low", "medium", "high")}


@dataclass(frozen=True)
class Target:
    """A tier's name and the latency that it is to have: `rco` in [0, 1], `ail` and `laal` in units, `lag` in ms."""

    tier: str
    metric: Metric
    value: float


@dataclass(frozen=True)
class Found:
    """A calibrated tier: its threshold, and the latency that it had on the development data."""

    target: Target
    threshold: float
    achieved: float


def parse_targets(given: Sequence[str]) -> list[Target]:
    """`rco=0.8`, `low:ail=3`, …; unnamed ones are low, medium and high in ascending order (one alone: medium; two: low and high).

    Raises InvalidValueError.
    """
    found: list[tuple[str | None, Metric, float]] = []
    for text in given:
        match = TARGET.fullmatch(text.strip())
        if match is None:
            raise InvalidValueError(f"expected a target such as rco=0.80, ail=3, lag=800 or low:laal=4; got {text!r}", param="target")
        found.append((match[1], cast("Metric", match[2]), float(match[3])))
    if all(name is None for name, _, _ in found) and len(found) in NAMES and len({metric for _, metric, _ in found}) == 1:
        found = [
            (name, metric, value) for name, (_, metric, value) in zip(NAMES[len(found)], sorted(found, key=lambda t: t[2]), strict=True)
        ]
    named = [Target(name, metric, value) for name, metric, value in found if name is not None]
    if len({target.tier for target in named}) < len(found):
        raise InvalidValueError(
            "expected a name of its own for each of several metrics or more than three targets, such as low:ail=3", param="target"
        )
    return named


def latency(records: Sequence[Record], metric: Metric) -> float:
    """Mean latency of the items: RCO and AIL over target tokens as in the paper, LAAL over target words as SimulEval's, lag over the
    recognised words of recordings that say where words end (evaluation/word_lag.py).

    Raises InvalidValueError where no item has one.
    """
    if metric == "lag":
        return _lag([word_lag.lags(record) for record in records])
    if metric == "laal":
        delays = [Delays(r.word_delays, r.source_length, len(r.references[0].split())) for r in records]
    else:
        delays = [Delays(r.delays, r.source_length) for r in records]
    found = mean(LATENCY[metric.upper()], delays)
    if found is None:
        raise InvalidValueError(f"expected items with a source and a target, got none of {len(records)} that has a {metric.upper()}")
    return found


def _lag(items: Sequence[Sequence[float]]) -> float:
    means = [float(np.mean(lags)) for lags in items if lags]
    if not means:
        raise InvalidValueError(f"expected items with word_ends, and words of them recognised; got none of {len(items)}")
    return float(np.mean(means))


Measure = Callable[[Sequence[float]], Mapping[float, list[Record]]]


def calibrate(measure: Measure, first: Sequence[float], targets: Sequence[Target]) -> list[Found]:
    """The threshold of each target. `measure` runs the development items at several thresholds; `first` are thresholds to begin with.

    After those, each target's threshold by the fit so far is run too, until it is met closely or MOST were run.
    """
    runs = dict(measure(first))
    while len(runs) < MOST:
        open_targets = [target for target in targets if abs(_at(runs, target)[1] - target.value) > CLOSE[target.metric]]
        wanted = {invert(runs, target) for target in open_targets} - set(runs)
        if not wanted:
            break
        runs |= measure(sorted(wanted)[: MOST - len(runs)])
    return [Found(target, *_at(runs, target)) for target in targets]


def invert(runs: Mapping[float, list[Record]], target: Target) -> float:
    """The threshold at which the isotonic curve through the runs reaches the target; the nearest end where it does not."""
    measured = _measured(runs, target.metric)
    thresholds = sorted(measured)
    fitted = IsotonicRegression(increasing=True).fit_transform(np.array(thresholds), np.array([measured[t] for t in thresholds]))
    # Where the curve is flat several thresholds have one latency: the middle of them.
    levels = sorted(set(fitted.tolist()))
    middles = [float(np.mean([t for t, f in zip(thresholds, fitted, strict=True) if f == level])) for level in levels]
    return float(np.interp(target.value, levels, middles))


def _at(runs: Mapping[float, list[Record]], target: Target) -> tuple[float, float]:
    """(threshold, latency) of the run nearest to the target."""
    return min(_measured(runs, target.metric).items(), key=lambda run: abs(run[1] - target.value))


def _measured(runs: Mapping[float, list[Record]], metric: Metric) -> dict[float, float]:
    """Latency by threshold. Lags are of recognised words: a threshold that recognises less than half as many as another has those of a few
    lucky ones, and is left out. Raises InvalidValueError where no threshold has a latency.
    """
    if metric != "lag":
        return {threshold: latency(records, metric) for threshold, records in runs.items()}
    lags = {threshold: [word_lag.lags(record) for record in records] for threshold, records in runs.items()}
    recognised = {threshold: sum(map(len, items)) for threshold, items in lags.items()}
    return {threshold: _lag(items) for threshold, items in lags.items() if 2 * recognised[threshold] >= max(recognised.values())}


def quantiles(scores: Sequence[float], count: int = FIRST) -> list[float]:
    """`count` thresholds evenly over the scores that a head gave on development data, from the least to the greatest.

    Raises InvalidValueError without scores.
    """
    if not scores:
        raise InvalidValueError("expected scores of the head on the development data, got none: is the source empty?")
    return sorted({float(q) for q in np.atleast_1d(np.quantile(scores, np.linspace(0, 1, count) if count > 1 else 0.5))})
