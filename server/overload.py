"""Whether there is too much to do, and what is done about it. Pure: knows seconds and steps; knows no clock, session or socket.

A step up after a few looks over a bound, a step down after more looks below half of both: what lies between changes nothing.
"""

from dataclasses import dataclass

STRIDES = (2, 4, 8)
LOOKS_UP, LOOKS_DOWN = 3, 5


@dataclass(frozen=True)
class Step:
    """What holds: decisions at every `stride`-th unit of sessions that allow it, and whether new sessions are refused."""

    stride: int
    refuses: bool


class Overload:
    """tick, queue: bounds in seconds, of the slowest tick, and of a session that waits for an answer (server/timing.py); 0 is none."""

    def __init__(self, *, tick: float, queue: float, shed: bool) -> None:
        self._bounds = (tick, queue)
        strides = STRIDES if shed else ()
        self._ladder = [Step(1, refuses=False), *(Step(stride, refuses=False) for stride in strides), Step((1, *strides)[-1], refuses=True)]
        self._at = self._over = self._calm = 0

    @property
    def step(self) -> Step:
        """What holds now."""
        return self._ladder[self._at]

    def look(self, tick: float, queue: float) -> Step:
        """Once a second: the slowest tick since the last look, 0 without any, and the age of the oldest message."""
        measured = [(seconds, bound) for seconds, bound in zip((tick, queue), self._bounds, strict=True) if bound]
        self._over = self._over + 1 if any(seconds > bound for seconds, bound in measured) else 0
        self._calm = self._calm + 1 if all(seconds < bound / 2 for seconds, bound in measured) else 0
        if self._over == LOOKS_UP:
            self._at, self._over = min(self._at + 1, len(self._ladder) - 1), 0
        elif self._calm == LOOKS_DOWN:
            self._at, self._calm = max(self._at - 1, 0), 0
        return self.step
