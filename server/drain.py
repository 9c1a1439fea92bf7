"""How the server stops: every client is told, no session starts any more, running ones may finish, then all connections are closed.

Knows connections and how many sessions there are; knows no message, no signal and no model.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Protocol

import structlog

from errors import LimitError
from server.duplex import Duplex, FatalError
from server.metrics import Metrics

log = structlog.get_logger()
POLL = 0.05  # seconds


class Told(Protocol):
    """Who is told: a connection, or what is left of one."""

    def going_away(self, seconds: float) -> None:
        """The server stops in so many seconds at the latest."""
        ...


class Connections:
    """Those that are being served."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._serving: dict[asyncio.Task[None], Duplex] = {}

    async def serve(self, connection: Duplex, run: Coroutine[None, None, None] | None = None) -> None:
        """Until it ends. run: what serves it, if that is not its own `serve`."""
        with self._metrics.connections.track_inprogress():
            serving = asyncio.create_task(connection.serve() if run is None else run)
            self._serving[serving] = connection
            try:
                await serving
            finally:
                del self._serving[serving]

    def open(self) -> list[Duplex]:
        """Each once."""
        return list(dict.fromkeys(self._serving.values()))

    async def close(self) -> None:
        """Tells every client that the server leaves, closes its connection and waits for that."""
        for connection in self.open():
            connection.fail(FatalError("shutting_down", "the server is shutting down; connect again in a while"))
        if self._serving:
            await asyncio.wait(self._serving)


class Drain:
    """begun: from the first moment on. sessions: how many there are, those that wait to be resumed among them."""

    def __init__(self, sessions: Callable[[], int]) -> None:
        self.begun = False
        self._sessions = sessions
        self._until = 0.0

    def check(self) -> None:
        """Raises LimitError for a session that would start now."""
        if self.begun:
            left = max(1.0, self._until - asyncio.get_running_loop().time())
            raise LimitError("shutting_down", "expected no session to start, as the server is shutting down", retry_after=round(left, 1))

    async def run(self, connections: Iterable[Told], seconds: float, hurry: Callable[[], bool]) -> None:
        """Returns once no session is left, after `seconds`, or once there is a `hurry`."""
        loop = asyncio.get_running_loop()
        self.begun, self._until = True, loop.time() + seconds
        log.info("server.draining", seconds=seconds, sessions=self._sessions())
        for connection in connections:
            connection.going_away(seconds)
        while self._sessions() and loop.time() < self._until and not hurry():
            await asyncio.sleep(POLL)
        log.info("server.drained", sessions=self._sessions())
