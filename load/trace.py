"""What one session's client saw, by the clock, and the waits that follow from it. Knows no socket; a recording is read by it too."""

from dataclasses import dataclass, field

from proactivellm_client import Done, Event, Write

Output = tuple[str, str, tuple[tuple[str, int, int, int], ...]]


@dataclass
class Trace:
    """Times are seconds on one clock.

    sent:   [n] when each source message was due: a sender that is held up must not make the server look faster
    ended:  when the source end was sent, if it was
    events: what came, and when
    """

    sent: list[float] = field(default_factory=list)
    ended: float | None = None
    events: list[tuple[float, Event]] = field(default_factory=list)

    @property
    def done(self) -> Done | None:
        """The last event, once it came."""
        last = self.events[-1][1] if self.events else None
        return last if isinstance(last, Done) else None

    @property
    def first_write(self) -> float | None:
        """From the first source message to the first write; None where nothing was written."""
        at = next((at for at, event in self.events if isinstance(event, Write)), None)
        return None if at is None or not self.sent else at - self.sent[0]

    @property
    def lags(self) -> list[float]:
        """Of each write: from the source message that it answers."""
        return [at - self.sent[event.n - 1] for at, event in self.events if isinstance(event, Write)]

    @property
    def final_after_end(self) -> float | None:
        """From the source end to `done`; None for a target that was complete before."""
        return self.events[-1][0] - self.ended if self.done is not None and self.ended is not None else None

    @property
    def output(self) -> Output:
        """What must not depend on timing or neighbours: the text, why it ended, and text, phi, index and source message of each write."""
        assert self.done is not None
        writes = (event for _, event in self.events if isinstance(event, Write))
        return self.done.text, self.done.reason, tuple((event.text, event.phi, event.index, event.n) for event in writes)
