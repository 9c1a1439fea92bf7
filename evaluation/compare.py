"""Is a head better than a baseline that reads as much? Quality at equal latency, area under quality, and what an interval carries.

Knows a Table's numbers; makes none of its own from records.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, Self

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict

from errors import UnknownNameError
from evaluation.bootstrap import Array, Interval
from evaluation.quality import QUALITY
from evaluation.table import COVERAGE, Key, Rows, Table, interval

Verdict = Literal["better", "worse", "not shown"]
OPPONENTS = ("wait_k", "fixed_chunk", "fixed_fraction", "align_att", "random")  # baselines that have a curve


def _from_json(value: Any) -> Any:
    """JSON has no NaN: it writes null."""
    return {name: float("nan") if number is None else number for name, number in value.items()} if isinstance(value, dict) else value


Figure = Annotated[Interval, BeforeValidator(_from_json)]


class Comparison(BaseModel):
    """A head's point minus a baseline at equal latency, in the metric's own unit.

    against:    a baseline's curve, interpolated; or, where `matched`, the policy that was chosen to have the same latency
    latency:    of the head's point
    gap:        the head's latency minus the other policy's, where `matched`; 0 where interpolated
    difference: NaN where the curve has no point on either side, or had none in more than 5% of the resamples: never extrapolated
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    policy: str
    against: str
    matched: bool
    metric: str
    latency: Figure
    gap: Figure
    difference: Figure
    verdict: Verdict


class Area(BaseModel):
    """Mean quality of a head's curve over the latencies that both curves cover (its area over their width), and minus the baseline's."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    curve: str
    against: str
    metric: str
    low: float | None
    high: float | None
    quality: Figure
    difference: Figure
    verdict: Verdict


class HasRows(Protocol):
    """What a curve is made of: a Table, or another holder of every number of its policies."""

    def rows(self, label: str) -> Mapping[Key, Rows]:
        """As Table.rows."""
        ...


@dataclass(frozen=True)
class Curve:
    """Points joined by straight lines; of several at one latency the first counts. latency, quality: [1 + R, P], rows as `Rows`."""

    latency: Array
    quality: Array

    @classmethod
    def of(cls, table: HasRows, labels: Sequence[str], metric: str, axis: Key = COVERAGE) -> Self:
        """The best policy first, so that it counts where two have the same latency. `labels` has at least one."""
        sign = 1 if QUALITY[metric].higher_is_better else -1
        key = ("quality", metric)
        best = sorted(labels, key=lambda label: float(np.nan_to_num(-sign * table.rows(label)[key][0], nan=np.inf)))
        return cls(
            np.stack([table.rows(label)[axis] for label in best], axis=1), np.stack([table.rows(label)[key] for label in best], axis=1)
        )

    def at(self, latency: Rows) -> Rows:
        """Quality at a latency, in each row between the two points that bracket it there; NaN outside the curve."""
        wanted = latency[:, None]
        below = np.where(self.latency <= wanted, self.latency, -np.inf)
        above = np.where(self.latency >= wanted, self.latency, np.inf)
        x0, x1 = below.max(axis=1), above.min(axis=1)
        y0, y1 = (np.take_along_axis(self.quality, place[:, None], 1)[:, 0] for place in (below.argmax(axis=1), above.argmin(axis=1)))
        inside = np.isfinite(x0) & np.isfinite(x1)
        apart = inside & (x1 > x0)
        share = np.zeros_like(latency)
        share[apart] = (latency[apart] - x0[apart]) / (x1[apart] - x0[apart])
        return np.where(inside, y0 + share * (y1 - y0), np.nan)

    def mean(self, low: Rows, high: Rows) -> Rows:
        """Area from `low` to `high` by the trapezoid rule, over their distance; NaN where that is 0 or the curve does not reach them."""
        inner = np.clip(np.where(np.isnan(self.latency), low[:, None], self.latency), low[:, None], high[:, None])
        knots = np.sort(np.concatenate([low[:, None], inner, high[:, None]], axis=1), axis=1)
        heights = np.stack([self.at(knot) for knot in knots.T], axis=1)
        area = (np.diff(knots, axis=1) * (heights[:, 1:] + heights[:, :-1]) / 2).sum(axis=1)
        width: Rows = high - low
        mean: Rows = np.divide(area, width, out=np.full_like(width, np.nan), where=width > 0)
        return mean


def verdict(difference: Interval, *, higher_is_better: bool = True) -> Verdict:
    """What a 95% interval of a difference carries; without bounds, or with 0 between them, nothing."""
    if difference.low > 0 or difference.high < 0:
        return "better" if (difference.low > 0) == higher_is_better else "worse"
    return "not shown"


def at_equal_latency(table: Table, metric: str, axis: Key = COVERAGE, *, matched: Mapping[str, str] | None = None) -> list[Comparison]:
    """Every head's point against the curve of every baseline, and against the policy that `matched` names for it.

    axis: the latency; `full`, the batch view, is the last point of every baseline's curve.
    Raises UnknownNameError for a policy in `matched` that was not run.
    """
    made = []
    curves = {name: Curve.of(table, labels, metric, axis) for name, labels in _opponents(table).items()}
    for label in heads(table):
        latency = table.rows(label)[axis]
        for name, curve in curves.items():
            made.append(_comparison(table, label, metric, name, latency, None, curve.at(latency)))
    for label, other in (matched or {}).items():
        for name in (label, other):
            if name not in table.labels:
                raise UnknownNameError("policy", name, table.labels)
        one, two = table.rows(label), table.rows(other)
        made.append(_comparison(table, label, metric, other, one[axis], two[axis], two["quality", metric]))
    return made


def areas(table: Table, metric: str, axis: Key = COVERAGE) -> list[Area]:
    """Every head's curve of two points and more against every baseline's, over the latencies that both cover in each resample."""
    made = []
    for name, labels in table.curves().items():
        if table.baseline(labels[0]) is None and len(labels) > 1:
            ours = Curve.of(table, labels, metric, axis)
            for against, others in _opponents(table).items():
                made.append(area(ours, Curve.of(table, others, metric, axis), metric, name, against))
    return made


def area(ours: Curve, theirs: Curve, metric: str, name: str, against: str) -> Area:
    """`ours` against `theirs`, two curves on one set of resamples; `name` and `against` are what they are called."""
    low, high = shared_latencies([ours, theirs])
    mean = ours.mean(low, high)
    difference = interval(mean - theirs.mean(low, high))
    shared = bool(low[0] < high[0])  # not where both are NaN
    return Area(
        curve=name,
        against=against,
        metric=metric,
        low=float(low[0]) if shared else None,
        high=float(high[0]) if shared else None,
        quality=interval(mean),
        difference=difference,
        verdict=verdict(difference, higher_is_better=QUALITY[metric].higher_is_better),
    )


def shared_latencies(curves: Sequence[Curve]) -> tuple[Rows, Rows]:
    """From where to where all of the curves reach, in each resample; NaN where they do not meet."""
    ends = [(curve.latency, np.isnan(curve.latency)) for curve in curves]
    low = np.max([np.where(gone, np.inf, x).min(axis=1) for x, gone in ends], axis=0)
    high = np.min([np.where(gone, -np.inf, x).max(axis=1) for x, gone in ends], axis=0)
    return np.where(low < high, low, np.nan), np.where(low < high, high, np.nan)


def kept(table: Table, label: str, metric: str) -> Interval | None:
    """Percent of the full view's quality that a policy has; None where `full` was not run, and for a metric whose least is best."""
    full = table.curves().get("full")
    if not full or not QUALITY[metric].higher_is_better:
        return None
    ours, whole = table.rows(label)["quality", metric], table.rows(full[0])["quality", metric]
    return interval(100 * np.divide(ours, whole, out=np.full_like(ours, np.nan), where=whole != 0))


def heads(table: Table) -> list[str]:
    """Labels of the policies that are no baseline."""
    return [label for label in table.labels if table.baseline(label) is None]


def _opponents(table: Table) -> dict[str, list[str]]:
    curves = table.curves()
    return {name: [*curves[name], *curves.get("full", [])] for name in OPPONENTS if name in curves}


def _comparison(table: Table, label: str, metric: str, against: str, latency: Rows, other: Rows | None, theirs: Rows) -> Comparison:
    difference = interval(table.rows(label)["quality", metric] - theirs)
    return Comparison(
        policy=label,
        against=against,
        matched=other is not None,
        metric=metric,
        latency=interval(latency),
        gap=Interval(0.0, 0.0, 0.0) if other is None else interval(latency - other),
        difference=difference,
        verdict=verdict(difference, higher_is_better=QUALITY[metric].higher_is_better),
    )
