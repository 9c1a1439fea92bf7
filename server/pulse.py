"""Once a second: is the device's thread stuck, is there too much to do. Does what follows; overload.py and watchdog.py say what that is.

Knows the worker and the metrics; knows no socket and no session.
"""

import asyncio

import structlog

from errors import LimitError
from server.metrics import Metrics
from server.overload import Overload, Step
from server.timing import Timings
from server.watchdog import Watchdog
from server.worker import Worker

log = structlog.get_logger()
SECONDS = 1.0
RETRY_AFTER = 5.0  # seconds: overload does not pass sooner


class Pulse:
    """`run` is a task of the event loop; `check` is asked before a session starts."""

    def __init__(self, worker: Worker, metrics: Metrics, timings: Timings, overload: Overload, watchdog: Watchdog) -> None:
        self._worker, self._metrics, self._timings = worker, metrics, timings
        self._overload, self._watchdog = overload, watchdog

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(SECONDS)
            self._watchdog.look()
            self._look()

    def _look(self) -> None:
        before = self._overload.step
        step = self._overload.look(self._worker.take_slowest_tick(), self._timings.queue_age())
        if step != before:
            self._change(before, step)

    def _change(self, before: Step, step: Step) -> None:
        log.warning("server.overload", stride=step.stride, refuses=step.refuses)
        self._metrics.stride.set(step.stride)
        self._metrics.refusing.set(step.refuses)
        if step.stride != before.stride:
            self._worker.set_stride(step.stride)

    def check(self) -> None:
        """Raises LimitError while new sessions are refused."""
        if self._overload.step.refuses:
            self._metrics.limits.labels("overload", "server").inc()
            raise LimitError("no_capacity", "expected less to do, the server is overloaded: come back later", retry_after=RETRY_AFTER)
