"""What a session has handed out, so that one begun again hands out only what follows, or says that it differs.

Knows events; knows no frame and no socket.
"""

from proactivellm_client.errors import DivergedError
from proactivellm_client.events import Decision, Done, Error, Read, SessionUpdated, Write

# Errors of a server that another, or the same a while later, does not answer with.
ELSEWHERE = frozenset({"no_capacity", "not_ready", "shutting_down", "too_many_sessions", "worker_failed"})
Stepped = Write | Read | Decision | SessionUpdated | Done


class Replayed:
    """The events of one session in the order in which they were handed out.

    Scores are not compared: they may differ in their last digits.
    """

    def __init__(self) -> None:
        self._steps: list[tuple[object, ...]] = []
        self._at = 0  # steps of the session as it runs now
        self._errors = self._errors_again = 0

    def begin_again(self) -> None:
        """The session runs from its start."""
        self._at = self._errors_again = 0

    def is_new(self, event: Stepped | Error) -> bool:
        """False for an event that was handed out before. Raises DivergedError for another one in its place."""
        if isinstance(event, Error):  # a refused update is told at once, wherever the session is
            self._errors_again += 1
            if self._errors_again <= self._errors:
                return False
            self._errors += 1
            return True
        step = _step(event)
        self._at += 1
        if self._at > len(self._steps):
            self._steps.append(step)
            return True
        before = self._steps[self._at - 1]
        if step != before:
            raise DivergedError(
                f"expected the session that was begun again to go as before, its event {self._at} was {str(before)[:200]}, "
                f"got {str(step)[:200]}: what was handed out and what would follow do not belong together; start anew"
            )
        return False


def _step(event: Stepped) -> tuple[object, ...]:
    match event:
        case Write():
            return ("write", event.text, event.index, event.count, event.phi, event.n)
        case Read():
            return ("read", event.phi, event.n)
        case Decision():
            return ("decision", event.action, event.phi, event.index, event.n)
        case SessionUpdated():
            return ("session.updated", event.threshold, event.from_index)
        case Done():
            return ("done", event.text, event.reason)
