"""Who gets what of a tick: the token budget, probes before long prefills, the longest unserved first.

Knows counts only; never what a token or a score is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from errors import InvalidValueError


class Schedulable(Protocol):
    """What the scheduler reads of a session, and the one thing it writes: the number of its last turn, negative before the first."""

    served: int

    @property
    def pending(self) -> int:
        """Source tokens to feed."""
        ...

    @property
    def wants_probe(self) -> bool:
        """True if a probe is due once nothing is pending."""
        ...


S = TypeVar("S", bound=Schedulable)


@dataclass(frozen=True)
class Turn(Generic[S]):
    """A session's part of a tick: feed `count` pending tokens, then probe if `probe`."""

    session: S
    count: int
    probe: bool


class Scheduler(Generic[S]):
    """Fills ticks of `budget` tokens. A session with more than a quarter of it pending is a prefill, and shares what is left."""

    def __init__(self, budget: int) -> None:
        if budget < 4:
            raise InvalidValueError(f"expected a tick of at least 4 tokens, got {budget}")
        self.budget = budget
        self._turns = 0

    def schedule(self, sessions: Iterable[S]) -> list[Turn[S]]:
        """The turns of the next tick; empty if nobody has work. Every session with work gets a turn within a bounded number of ticks."""
        ready = [s for s in sessions if s.pending or s.wants_probe]
        for session in ready:
            if session.served < 0:  # new ones queue up at the end, or a flow of them would starve the rest
                session.served = self._turns
        ready.sort(key=lambda s: s.served)
        long = [s for s in ready if s.pending > self.budget // 4]
        short = [s for s in ready if s.pending <= self.budget // 4]
        # Probes go first, but a full house of them must not starve a prefill for ever: a quarter is kept for it.
        left = self.budget - (self.budget // 4 if long else 0)
        turns: list[Turn[S]] = []
        for session in short:
            if (cost := session.pending + session.wants_probe) <= left:
                left -= cost
                turns.append(Turn(session, session.pending, session.wants_probe))
        left += self.budget // 4 if long else 0
        for session in long:
            if (count := min(session.pending, left)) > 0:
                left -= count
                turns.append(Turn(session, count, probe=False))
        for turn in turns:
            self._turns += 1
            turn.session.served = self._turns
        return turns
