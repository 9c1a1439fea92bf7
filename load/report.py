"""The figures of a load, from the results of its sessions. Knows no clock and no socket."""

from collections import Counter
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Self

from pydantic import BaseModel, ConfigDict

from load.crowd import Plan
from load.server import State
from load.session import Result


class Figures(BaseModel):
    """Values, frozen, as JSON has them."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Spread(Figures):
    """Seconds. The p-quantile is the least value that at least that share of the values does not exceed; None where there is none."""

    count: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> Self:
        """Of any number of values."""
        ordered = sorted(values)
        if not ordered:
            return cls(count=0)
        p50, p95, p99 = (ordered[max(0, ceil(share * len(ordered) - 1e-9) - 1)] for share in (0.50, 0.95, 0.99))
        return cls(count=len(ordered), p50=p50, p95=p95, p99=p99, max=ordered[-1])


class Check(Figures):
    """Something that a soak must show."""

    name: str
    held: bool
    told: str


class Report(Figures):
    """One load.

    sessions: begun, by how they ended: a reason of `done`, `refused`, an error's code, or the fault that was played
    first_write, lag, final_after_end: of clients that behaved (docs/operating.md); late: how late this tool sent its pieces
    words_per_second, sound_per_second, tokens_per_second: source taken (of sound, seconds) and target written, over the whole time
    memory: resident memory of the server before and after, in bytes, where it tells
    """

    clients: int
    seconds: float
    sessions: dict[str, int]
    first_write: Spread
    lag: Spread
    final_after_end: Spread
    late: Spread
    words_per_second: float
    sound_per_second: float
    tokens_per_second: float
    slots: int
    slots_in_use_after: int
    memory: tuple[int | None, int | None]
    checks: tuple[Check, ...] = ()

    @property
    def held(self) -> bool:
        """True if every check held."""
        return all(check.held for check in self.checks)


def report(plan: Plan, results: Sequence[Result], seconds: float, before: State, after: State, checks: Sequence[Check] = ()) -> Report:
    """The figures; `seconds` is how long it took in all."""
    good = [result for result in results if result.fault == "none"]
    done = [(result.feed.is_sound, result.trace.done.usage) for result in good if result.trace.done is not None]
    return Report(
        clients=plan.clients,
        seconds=round(seconds, 3),
        sessions=dict(Counter(map(_end, results)).most_common()),
        first_write=Spread.of(wait for result in good if (wait := result.trace.first_write) is not None),
        lag=Spread.of(lag for result in good for lag in result.trace.lags),
        final_after_end=Spread.of(wait for result in good if (wait := result.trace.final_after_end) is not None),
        late=Spread.of(late for result in results for late in result.late),
        words_per_second=sum(usage.source_units for is_sound, usage in done if not is_sound) / seconds,
        sound_per_second=sum(usage.source_units for is_sound, usage in done if is_sound) / 1000 / seconds,
        tokens_per_second=sum(usage.target_tokens for _, usage in done) / seconds,
        slots=after.slots,
        slots_in_use_after=after.in_use,
        memory=(before.memory, after.memory),
        checks=tuple(checks),
    )


def _end(result: Result) -> str:
    if result.refused:
        return "refused"
    if result.fault != "none":
        return result.fault
    return result.error or (result.trace.done.reason if result.trace.done else "closed")
