"""One websocket, whatever is spoken over it: bounded queues both ways, size, idleness, and every way in which it can end.

Knows frames and errors; knows no message, no session and no model. Runs in the event loop and never blocks it.
"""

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import BaseModel

from errors import ProactiveError
from server.config import ServerConfig
from server.events import CLOSE_CODES
from server.limits import Quota
from server.metrics import Metrics

log = structlog.get_logger()
TELL_SECONDS = 1.0  # how long a client that does not read is given to take its last event
Build = Callable[[int], BaseModel]  # an event, from its number on the connection


class FatalError(ProactiveError):
    """Ends the connection: told by an `error` event, then closed with the code's close code."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


class Duplex(ABC):
    """A protocol over a websocket. `owes` counts the client's messages that the worker has not answered yet."""

    def __init__(self, socket: WebSocket, config: ServerConfig, metrics: Metrics) -> None:
        self._socket, self._config, self._metrics = socket, config, metrics
        self._events: asyncio.Queue[Build | None] = asyncio.Queue(config.max_queued_events)
        self._quota: Quota = socket.state.quota  # the gate put it there
        self._seq = 0
        self._frames = 0  # that came
        self._leaves = False  # another takes the socket over
        self._again: list[str] = []  # frames that go out before any event
        self._fatal: asyncio.Future[ProactiveError] = asyncio.get_running_loop().create_future()
        self._ends_socket: asyncio.Future[ProactiveError] | None = None  # while one is served, and is not ending yet
        self._session_id = ""
        self._owes = 0
        self._active_at = 0.0  # when the client, or an answer to it, last came
        self._room = asyncio.Event()  # for messages that the worker will answer
        self._room.set()
        self._drained = asyncio.Event()  # no more than half of the events that may wait do so
        self._drained.set()

    async def serve(self) -> None:
        """Runs until the client leaves or a fatal error; on every path the session's slot is freed, or kept for who comes back."""
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        kept, fatal = False, self._fatal
        self._ends_socket = fatal
        try:
            ends: set[asyncio.Future[Any]] = {reader, writer, fatal}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            code = None if fatal.done() else await _close_code(reader)
            kept = self._keep(fatal.result() if fatal.done() else None, code)
        finally:
            self._ends_socket = None
            if kept:
                self._fatal = asyncio.get_running_loop().create_future()  # what happens from here on is told on the next socket
            else:
                self._drop_session()
                self._quota.end_session()
            reader.cancel()
        try:
            if fatal.done():
                await self._close(fatal.result(), writer)
        finally:
            writer.cancel()
            for task in (reader, writer):
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError, OSError):
                    await task
            if not kept:
                self._forget()

    def _forget(self) -> None:
        """Lets go of what nobody will be sent: a client that never read leaves a full queue, and Python collects cycles much later."""
        while not self._events.empty():
            self._events.get_nowait()

    def fail(self, error: ProactiveError) -> None:
        """Ends the connection: the client is told, then closed. The first error stands."""
        if not self._fatal.done():
            self._fatal.set_result(error)

    def going_away(self, seconds: float) -> None:  # noqa: B027 (not every protocol has one)
        """The server stops in so many seconds at the latest; for a protocol that has a word for it."""

    def _keep(self, error: ProactiveError | None, code: int | None) -> bool:
        """True where the session outlasts this socket, which ends with `error`, or with a close code of the client or the transport."""
        return False

    # ---- what a protocol says

    @abstractmethod
    def _receive(self, text: str) -> None:
        """Takes a frame. Raises ProactiveError to end the connection."""

    def _receive_binary(self, data: bytes) -> None:
        """Takes a binary frame, in a protocol that has some. Raises ProactiveError to end the connection."""
        raise FatalError("bad_message", "expected a text frame with JSON, got a binary frame")

    @abstractmethod
    def _error(self, error: ProactiveError, *, fatal: bool) -> Build:
        """The event that tells of an error."""

    @abstractmethod
    def _drop_session(self) -> None:
        """The client is gone, or is going: frees the slot."""

    # ---- out

    def _put(self, build: Build) -> None:
        """Queues an event. A full queue means a client that does not read: it is told and closed, its neighbours feel nothing."""
        try:
            self._events.put_nowait(build)
        except asyncio.QueueFull:
            self.fail(FatalError("slow_reader", f"expected the client to take its events, got {self._events.maxsize} of them waiting"))
        if self._half_full():
            self._drained.clear()

    def _half_full(self) -> bool:
        return self._events.qsize() > self._events.maxsize // 2

    def _put_error(self, error: ProactiveError) -> None:
        if error.code in CLOSE_CODES:
            self.fail(error)
        else:
            self._metrics.errors.labels(error.code).inc()
            self._put(self._error(error, fatal=False))

    async def _write(self) -> None:
        again, self._again = self._again, []
        for frame in again:
            await self._socket.send_text(frame)
        while (build := await self._events.get()) is not None:
            if not self._half_full():
                self._drained.set()
            await self._send(build)

    async def _send(self, build: Build) -> None:
        await self._socket.send_text(self._numbered(build))

    def _numbered(self, build: Build) -> str:
        """The event's frame, with the next number."""
        self._seq += 1
        return build(self._seq).model_dump_json()

    async def _close(self, error: ProactiveError, writer: asyncio.Task[None]) -> None:
        """Tells why, after what was queued, then closes. A client that does not read gets a second for both."""
        self._metrics.errors.labels(error.code).inc()
        log.info("connection.closing", session=self._session_id, code=error.code, close_code=CLOSE_CODES[error.code])
        # Whatever the socket does now, the connection ends: it may have broken, or been closed by the transport.
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            async with asyncio.timeout(TELL_SECONDS):
                if error.code in ("slow_reader", "resumed_elsewhere"):
                    writer.cancel()
                else:
                    await self._events.put(None)
                    await writer
                # Not counted: it is this socket's, not the session's.
                await self._socket.send_text(self._error(error, fatal=True)(self._seq + 1).model_dump_json())
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            async with asyncio.timeout(TELL_SECONDS):
                await self._socket.close(CLOSE_CODES[error.code], error.code)

    # ---- in

    async def _read(self) -> None:
        try:
            while not self._leaves:
                await self._room.wait()
                await self._drain()
                frame = await self._frame()
                self._receive(frame) if isinstance(frame, str) else self._receive_binary(frame)
        except ProactiveError as error:
            self.fail(error)
            await asyncio.Event().wait()  # `serve` ends this task once the client is told

    async def _drain(self) -> None:
        """Who sends a lot must read its answers first. One event taken is enough; none for long means a client that does not read."""
        try:
            async with asyncio.timeout(self._config.stalled_seconds):
                await self._drained.wait()
        except TimeoutError:
            waiting = self._events.qsize()
            raise FatalError(
                "slow_reader", f"expected the client to take its events, got {waiting} of them waiting and none taken"
            ) from None

    async def _next(self) -> MutableMapping[str, Any]:
        """The next message of the transport. A client that nobody owes an answer must say something from time to time."""
        loop = asyncio.get_running_loop()
        self._active_at = loop.time()
        while True:
            deadline = self._active_at + self._quota.idle_seconds
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._socket.receive()
                self._frames += message["type"] == "websocket.receive"
                return message
            except TimeoutError:
                if self._owes:
                    self._active_at = loop.time()
                elif deadline >= self._active_at + self._quota.idle_seconds:
                    raise self._quota.idle() from None

    async def _frame(self) -> str | bytes:
        frame = await self._next()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        if isinstance(error := frame.get("error"), ProactiveError):  # of transport.py: frames that are no message were too many
            raise error
        text: str | None = frame.get("text")
        data: bytes = frame["bytes"] if text is None else text.encode()
        size = len(data)
        self._quota.frame(size)
        if size > self._config.max_message_bytes:
            raise FatalError("too_large", f"expected at most {self._config.max_message_bytes} bytes a message, got {size}")
        return data if text is None else text

    # ---- what the worker owes

    def _owe(self) -> None:
        """One more message for the worker. Too many without an answer, and the socket is not read until one comes."""
        self._owes += 1
        if self._owes >= self._config.max_queued_messages:
            self._room.clear()

    def _owe_only(self, count: int) -> None:
        """So many are left: there is room again."""
        self._owes = count
        self._active_at = asyncio.get_running_loop().time()
        self._room.set()


async def _close_code(reader: "asyncio.Task[None]") -> int | None:
    """Why the transport ended. A writer that failed may know before the reader does; one that does not read must not be waited for."""
    await asyncio.wait([reader], timeout=0.1)
    if not reader.done():
        return 1006
    error = reader.exception()
    return error.code if isinstance(error, WebSocketDisconnect) else None
