"""Sessions by the clock of the event loop: how long source waits, and what comes how late. Knows no socket; decides nothing."""

import time
from collections import deque
from collections.abc import Callable

from engine.actions import Append, AppendAudio, Done, End, Read, Write
from engine.request import Request
from server.handle import Asked, Crashed, Handle, Opened, Outcome, Refused
from server.metrics import Metrics, head_label

Clock = Callable[[], float]  # seconds


class Timings:
    """All sessions; `watch` makes the watcher of one."""

    def __init__(self, metrics: Metrics, clock: Clock = time.monotonic) -> None:
        self.metrics, self.clock = metrics, clock
        self._live: set[Timing] = set()
        metrics.queue_age.set_function(self.queue_age)

    def watch(self, _handle: Handle, _model: str | None, _request: Request) -> "Timing":
        """One session more."""
        timing = Timing(self)
        self._live.add(timing)
        return timing

    def forget(self, timing: "Timing") -> None:
        """The session is over. Idempotent."""
        self._live.discard(timing)

    def queue_age(self) -> float:
        """Seconds that a session with source waits for anything to be read or written, the longest of all.

        Neither a long target nor a client's own backlog is a queue. Asked at every scrape, so that it grows while a tick hangs.
        """
        now = self.clock()
        return max((now - max(timing.waiting[0], timing.answered) for timing in self._live if timing.waiting), default=0.0)


class Timing:
    """One session.

    waiting: when its unanswered source messages came, in order; answered: when there was a read or write last, or 0
    """

    def __init__(self, timings: Timings) -> None:
        self.waiting: deque[float] = deque()
        self.answered = 0.0
        self._timings, self._metrics, self._clock = timings, timings.metrics, timings.clock
        self._model = self._head = ""
        self._opened = False
        self._wrote = False
        self._first = self._ended = 0.0  # when the first source message and the source end came

    def sent(self, asked: Asked) -> None:
        """Only source is timed: updates and cancels wait for it."""
        if not isinstance(asked, Append | AppendAudio | End):
            return
        now = self._clock()
        self._first = self._first or now
        self.waiting.append(now)
        if isinstance(asked, End):
            self._ended = now

    def came(self, outcome: Outcome) -> None:
        """Answers come in the order of the messages, so the oldest that waits is the one they are about."""
        now = self._clock()
        match outcome:
            case Opened():
                self._opened, self._model, self._head = True, outcome.model, head_label(outcome.head)
            case Refused():
                if not self._opened:
                    self._metrics.refusals.labels(outcome.error.code).inc()
                    self._timings.forget(self)
            case Write():
                self._write(now)
            case Read():
                self.waiting.popleft()
                self.answered = now
            case Done():
                self._done(outcome, now)
            case Crashed():
                self._timings.forget(self)

    def left(self) -> None:
        """What still waits is nobody's."""
        self._timings.forget(self)

    def _write(self, now: float) -> None:
        if self.waiting:  # text that was held back comes at a cancel, when everything was answered
            self._metrics.lag.labels(self._model).observe(now - self.waiting[0])
            self.answered = now
        if not self._wrote:
            self._metrics.first_write.labels(self._model).observe(now - self._first)
            self._wrote = True

    def _done(self, done: Done, now: float) -> None:
        self._timings.forget(self)
        if done.rco is not None and done.ail is not None:
            self._metrics.coverage.labels(self._model, self._head).observe(done.rco)
            self._metrics.interaction_lag.labels(self._model, self._head).observe(done.ail)
        if self._ended and done.reason not in ("cancelled", "error"):
            self._metrics.final.labels(self._model).observe(now - self._ended)
