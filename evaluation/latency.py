"""Latency of one item and of a corpus, read off its delays. Knows no text, no model and no clock.

AL, LAAL and DAL take their cut-offs and corner cases from SimulEval's scorers, and tests compare the two.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from engine.trajectory import ail, rco


@dataclass(frozen=True)
class Delays:
    """How much source was visible at each unit of the target of one item.

    delays:            g_t for t = 1 .. L; in words, tokens or ms, whichever; the end token has none
    source_length:     M, in the unit of `delays`
    reference_length:  length of the reference, counted as the target is (words or tokens); None where there is no reference
    hypothesis_length: length of the target that LAAL and DAL go by, and AL without a reference; len(delays) where it is None.
                       RCO and AIL always take L = len(delays)
    """

    delays: tuple[float, ...]
    source_length: float
    reference_length: int | None = None
    hypothesis_length: int | None = None

    @property
    def target_length(self) -> int:
        """Length of the target, as `hypothesis_length` says."""
        return len(self.delays) if self.hypothesis_length is None else self.hypothesis_length


class LatencyMetric(Protocol):
    """One number for one item; None where it is not defined: no target, no source, or a length of 0 to divide by."""

    name: str
    unit: str

    def __call__(self, delays: Delays) -> float | None:
        """In `unit`, or None."""
        ...


class RCO:
    """Read Coverage: mean_t(g_t) / M, in [0, 1] (ProactiveLLM, https://arxiv.org/abs/2606.00523)."""

    name = "RCO"
    unit = "share of the source"

    def __call__(self, delays: Delays) -> float | None:
        """None for an empty source or target."""
        return rco(delays.delays, delays.source_length)


class AIL:
    """Average Interaction Lag: mean_t(g_t - (t - 1) M / L), over all t, no cut-off (ProactiveLLM, https://arxiv.org/abs/2606.00523).

    Batch decoding, g_t = M for all t, has AIL = M (L + 1) / (2 L).
    """

    name = "AIL"
    unit = "as the delays"

    def __call__(self, delays: Delays) -> float | None:
        """None for an empty source or target."""
        return ail(delays.delays, delays.source_length)


class AL:
    """Average Lagging: mean over t = 1 .. tau of g_t - (t - 1) M / |Y| (STACL, Ma et al. 2019, https://arxiv.org/abs/1810.08398).

    |Y| is the length of the reference, or of the target where there is none; tau is the first t with g_t >= M, or L.
    g_1 where that is beyond the source.
    """

    name = "AL"
    unit = "as the delays"

    def __call__(self, delays: Delays) -> float | None:
        """None for an empty target, source or reference."""
        return _lagging(delays, delays.target_length if delays.reference_length is None else delays.reference_length)


class LAAL:
    """Length-Adaptive Average Lagging: AL with |Y| = max(reference length, target length) (Papi et al. 2022; Polák et al. 2022).

    So a target longer than the reference cannot lower it (https://arxiv.org/abs/2206.05807, https://arxiv.org/abs/2204.06028).
    """

    name = "LAAL"
    unit = "as the delays"

    def __call__(self, delays: Delays) -> float | None:
        """None for an empty target or source."""
        return _lagging(delays, max(delays.target_length, delays.reference_length or 0))


class DAL:
    """Differentiable Average Lagging: mean_t(g'_t - (t - 1) M / L) (Arivazhagan et al. 2019, https://arxiv.org/abs/1906.05218).

    g'_1 = g_1 and g'_t = max(g_t, g'_(t-1) + M / L): every unit of the target costs at least its share of the source.
    L is the length of the target, never of the reference; there is no cut-off.
    """

    name = "DAL"
    unit = "as the delays"

    def __call__(self, delays: Delays) -> float | None:
        """None for an empty target or source."""
        if not delays.delays or not delays.source_length or not delays.target_length:
            return None
        pace = delays.source_length / delays.target_length
        total, behind = 0.0, float("-inf")
        for t, g in enumerate(delays.delays):
            behind = max(g, behind + pace)
            total += behind - t * pace
        return total / len(delays.delays)


LATENCY: dict[str, LatencyMetric] = {metric.name: metric for metric in (RCO(), AIL(), AL(), LAAL(), DAL())}


def mean(metric: LatencyMetric, items: Iterable[Delays]) -> float | None:
    """Mean over the items that the metric is defined for, as SimulEval's; of RCO, the *mean of ratios*. None without such an item."""
    values = [value for value in map(metric, items) if value is not None]
    return sum(values) / len(values) if values else None


def ratio_of_means(items: Iterable[Delays]) -> float | None:
    """The other RCO of a corpus: sum_i(mean_t(g_t)) / sum_i(M), in which long sources weigh more. None where no item has an RCO."""
    parts = [coverage(item) for item in items]
    source = sum(length for _, length in parts)
    return sum(read for read, _ in parts) / source if source else None


def coverage(item: Delays) -> tuple[float, float]:
    """(mean_t(g_t), M), whose sums over items make the ratio of means; (0, 0) for an item without an RCO."""
    if not item.delays or not item.source_length:
        return 0.0, 0.0
    return sum(item.delays) / len(item.delays), float(item.source_length)


def _lagging(delays: Delays, pace_length: int) -> float | None:
    """Average Lagging against a target of `pace_length` units."""
    source_length = delays.source_length
    if not delays.delays:
        return None
    if delays.delays[0] > source_length:  # SimulEval's order: so an empty source has a lag if something was read
        return delays.delays[0]
    if not source_length or not pace_length:
        return None
    tau = next((t for t, g in enumerate(delays.delays, start=1) if g >= source_length), len(delays.delays))
    return sum(g - t * source_length / pace_length for t, g in enumerate(delays.delays[:tau])) / tau
