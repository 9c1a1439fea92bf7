"""phi(t): how much source was visible when target token t was written, and the two latencies read off it. Knows no text."""

from collections.abc import Sequence


def rco(phi: Sequence[float], source_length: float) -> float | None:
    """Read Coverage: mean_t(g_t) / M, in [0, 1] (ProactiveLLM). None for an empty source or target.

    phi: g_t of the content tokens t = 1 .. L, in units (a clock's may be fractions); source_length: M, in the same units.
    """
    if not phi or not source_length:
        return None
    return sum(phi) / len(phi) / source_length


def ail(phi: Sequence[float], source_length: float) -> float | None:
    """Average Interaction Lag: mean_t(g_t - (t - 1) M / L), in units, over all t (ProactiveLLM). None as for `rco`."""
    if not phi or not source_length:
        return None
    pace = source_length / len(phi)
    return sum(g - t * pace for t, g in enumerate(phi)) / len(phi)
