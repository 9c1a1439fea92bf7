"""Sees that the device's thread is stuck: one turn of it lasts too long. Knows the worker's times and the log; stops nothing.

It looks from the event loop, which goes on while the device's thread waits for a device, a lock or a disk.
"""

import faulthandler
import tempfile

import structlog

from server.metrics import Metrics
from server.worker import Worker

log = structlog.get_logger()


class Watchdog:
    """`look` is called from time to time. seconds: what a turn may last; 0 is any time."""

    def __init__(self, worker: Worker, metrics: Metrics, seconds: float) -> None:
        self._worker, self._metrics, self._seconds = worker, metrics, seconds

    def look(self) -> None:
        """The worker counts as stalled from the first look after `seconds` until a turn ends."""
        lasts = self._worker.turn_seconds
        stalled = 0 < self._seconds < lasts
        if stalled == self._worker.stalled:
            return
        self._worker.stalled = stalled
        if stalled:
            self._metrics.stalls.inc()
            log.error("worker.stalled", seconds=round(lasts, 1), stacks=_stacks())
        else:
            log.info("worker.resumed")


def _stacks() -> str:
    """Where each thread is: files, lines and functions, and no values of what is streamed."""
    with tempfile.TemporaryFile("w+") as file:  # faulthandler writes to a descriptor
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        return file.read()
