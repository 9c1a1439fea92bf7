"""How the server stops: every client is told, no session starts any more, running ones may finish, then all connections are closed.

Knows who is served and how many sessions there are; knows no message, no signal and no model.
"""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterable, Iterator
from typing import Protocol

import structlog

from errors import LimitError, ProactiveError
from server.duplex import Duplex, FatalError
from server.metrics import Metrics

log = structlog.get_logger()
POLL = 0.05  # seconds


class Told(Protocol):
    """Who is told: a connection, or what is left of one."""

    def going_away(self, seconds: float) -> None:
        """The server stops in so many seconds at the latest."""
        ...


class Served(Told, Protocol):
    """Who is served: a websocket, or a file's session."""

    def fail(self, error: ProactiveError) -> None:
        """Ends it, once its client is told why; soon, whatever the client takes."""
        ...


class Connections:
    """Those that are being served."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._serving: dict[asyncio.Future[None], Served] = {}
        self._closed = False

    async def serve(self, connection: Duplex, run: Coroutine[None, None, None] | None = None) -> None:
        """A websocket, until it ends. run: what serves it, if that is not its own `serve`."""
        with self._metrics.connections.track_inprogress(), self.hold(connection):
            await (connection.serve() if run is None else run)

    @contextlib.contextmanager
    def hold(self, served: Served) -> Iterator[None]:
        """Within, it is told of what becomes of the server; from the last moment on, at once."""
        ended = asyncio.get_running_loop().create_future()
        self._serving[ended] = served
        if self._closed:
            served.fail(_leaving())
        try:
            yield
        finally:
            del self._serving[ended]
            ended.set_result(None)

    def open(self) -> list[Served]:
        """Each once."""
        return list(dict.fromkeys(self._serving.values()))

    async def close(self) -> None:
        """Tells every client that the server leaves, ends what it is served and waits for that."""
        self._closed = True
        for served in self.open():
            served.fail(_leaving())
        if self._serving:
            await asyncio.wait(self._serving)


class Drain:
    """begun: from the first moment on. sessions: how many there are, those that wait to be resumed among them."""

    def __init__(self, sessions: Callable[[], int]) -> None:
        self.begun = False
        self._sessions = sessions
        self._until = 0.0

    def left(self) -> float | None:
        """Seconds until the server stops, 0 or more; None before it is told to."""
        return max(0.0, self._until - asyncio.get_running_loop().time()) if self.begun else None

    def check(self) -> None:
        """Raises LimitError for a session that would start now."""
        if (left := self.left()) is not None:
            retry_after = round(max(1.0, left), 1)
            raise LimitError("shutting_down", "expected no session to start, as the server is shutting down", retry_after=retry_after)

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


def _leaving() -> FatalError:
    return FatalError("shutting_down", "the server is shutting down; connect again in a while")
