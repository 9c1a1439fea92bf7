"""One websocket: frames in, session messages out to the worker, events back, and every way in which it can end.

Knows the protocol's states; knows no model. Runs in the event loop and never blocks it.
"""

import asyncio
import contextlib
import uuid
from collections.abc import Callable, MutableMapping
from typing import Any

import structlog
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import ValidationError

from engine.actions import Append, Done, End, Failure, Read, Updated
from errors import BadStateError, ProactiveError
from server import wire
from server.config import ServerConfig
from server.events import CLOSE_CODES, to_error, to_request, to_wire
from server.metrics import Metrics
from server.worker import Crashed, Handle, Opened, Outcome, Refused, Worker

log = structlog.get_logger()
TELL_SECONDS = 1.0  # how long a client that does not read is given to take its last event
Build = Callable[[int], wire.ServerEvent]


class FatalError(ProactiveError):
    """Ends the connection: told by an `error` event, then closed with the code's close code."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


class Connection:
    """States: no session, starting (asked of the worker), running, ended (the last session is done)."""

    def __init__(self, socket: WebSocket, worker: Worker, config: ServerConfig, metrics: Metrics) -> None:
        self._socket, self._worker, self._config, self._metrics = socket, worker, config, metrics
        self._events: asyncio.Queue[Build | None] = asyncio.Queue(config.max_queued_events)
        self._seq = 0
        self._fatal: asyncio.Future[ProactiveError] = asyncio.get_running_loop().create_future()
        self._handle: Handle | None = None
        self._session_id = ""
        self._started = False  # a session was ever asked for
        self._source_ended = False
        self._unanswered = 0  # messages that the worker has not answered yet
        self._active_at = 0.0  # when the client, or an answer to it, last came
        self._room = asyncio.Event()  # for messages that the worker will answer
        self._room.set()
        self._drained = asyncio.Event()  # no more than half of the events that may wait do so
        self._drained.set()

    async def serve(self) -> None:
        """Runs until the client leaves or a fatal error; the session's slot is freed on every path."""
        reader = asyncio.create_task(self._read())
        writer = asyncio.create_task(self._write())
        try:
            ends: set[asyncio.Future[Any]] = {reader, writer, self._fatal}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._drop_session()
            reader.cancel()
        try:
            if self._fatal.done():
                await self._close(self._fatal.result(), writer)
        finally:
            writer.cancel()
            for task in (reader, writer):
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError, OSError):
                    await task

    def fail(self, error: ProactiveError) -> None:
        """Ends the connection: the client is told, then closed. The first error stands."""
        if not self._fatal.done():
            self._fatal.set_result(error)

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
            self._put(lambda seq: to_error(error, seq))

    async def _write(self) -> None:
        while (build := await self._events.get()) is not None:
            if not self._half_full():
                self._drained.set()
            await self._send(build)

    async def _send(self, build: Build) -> None:
        self._seq += 1
        await self._socket.send_text(build(self._seq).model_dump_json())

    async def _close(self, error: ProactiveError, writer: asyncio.Task[None]) -> None:
        """Tells why, after what was queued, then closes. A client that does not read gets a second for both."""
        self._metrics.errors.labels(error.code).inc()
        log.info("connection.closing", session=self._session_id, code=error.code, close_code=CLOSE_CODES[error.code])
        # Whatever the socket does now, the connection ends: it may have broken, or been closed by the transport.
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            async with asyncio.timeout(TELL_SECONDS):
                if error.code == "slow_reader":
                    writer.cancel()
                else:
                    await self._events.put(None)
                    await writer
                await self._send(lambda seq: to_error(error, seq))
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            async with asyncio.timeout(TELL_SECONDS):
                await self._socket.close(CLOSE_CODES[error.code], error.code)

    # ---- in

    async def _read(self) -> None:
        try:
            while True:
                await self._room.wait()
                await self._drain()
                self._receive(await self._frame())
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
            deadline = self._active_at + self._config.idle_seconds
            try:
                async with asyncio.timeout_at(deadline):
                    return await self._socket.receive()
            except TimeoutError:
                if self._unanswered:
                    self._active_at = loop.time()
                elif deadline >= self._active_at + self._config.idle_seconds:
                    raise FatalError("idle", f"expected a message within {self._config.idle_seconds:g} s, got none") from None

    async def _frame(self) -> str:
        frame = await self._next()
        if frame["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(frame.get("code", 1005))
        text: str | None = frame.get("text")
        if text is None:
            raise FatalError("bad_message", "expected a text frame with JSON, got a binary frame: this server takes no audio")
        if (size := len(text.encode())) > self._config.max_message_bytes:
            raise FatalError("too_large", f"expected at most {self._config.max_message_bytes} bytes a message, got {size}")
        return text

    def _receive(self, text: str) -> None:
        try:
            message = wire.CLIENT.validate_json(text)
        except ValidationError as invalid:
            explained, param = wire.explain(invalid)
            error = FatalError("bad_message", explained, param=param)
            if not wire.is_start_or_update(text):
                raise error from None
            # Not fatal: nothing of the stream is lost with a start or an update that did not take place.
            self._metrics.errors.labels(error.code).inc()
            self._put(lambda seq: to_error(error, seq, fatal=False))
            return
        try:
            self._handle_message(message)
        except BadStateError as bad:
            self._put_error(bad)

    def _handle_message(self, message: wire.ClientMessage) -> None:
        match message:
            case wire.Ping():
                self._put(lambda seq: wire.Pong(seq=seq, id=message.id))
            case wire.SessionStart():
                self._start(message)
            case wire.SourceAppend():
                self._check_open()
                self._forward(lambda handle: self._worker.send(handle, Append(message.text)))
            case wire.SourceEnd():
                self._check_open()
                self._source_ended = True
                self._forward(lambda handle: self._worker.send(handle, End()))
            case wire.SessionUpdate():
                self._forward(lambda handle: self._worker.update(handle, message.tier, message.threshold))
            case wire.SessionCancel():
                self._forward(self._worker.cancel)

    def _start(self, start: wire.SessionStart) -> None:
        if self._handle is not None:
            raise BadStateError("expected session.start only before a session or after its done, got one in mid-session")
        if self._worker.failed is not None:
            raise FatalError("worker_failed", "the server's device thread stopped; start the session again")
        if self._worker.loading:
            raise FatalError("not_ready", "expected the models to be loaded, they still are being loaded; try again in a few seconds")
        self._started, self._source_ended, self._unanswered = True, False, 1
        self._session_id = uuid.uuid4().hex
        handle = Handle(lambda outcome: self._on_outcome(handle, outcome))
        self._handle = handle
        self._room.clear()  # what stands behind a start must not depend on how soon that is answered
        self._worker.open(handle, start.model, to_request(start))

    def _check_open(self) -> None:
        if self._handle is not None and self._source_ended:
            raise BadStateError("expected no source after source.end, got more; start another session after done")

    def _forward(self, act: Callable[[Handle], None]) -> None:
        """Passes a message on to the worker. Too many without an answer, and the socket is not read until one comes."""
        if not self._started:
            raise BadStateError("expected session.start first, got a message for a session")
        if self._handle is None:
            return  # the session is done: the message came too late to matter
        self._unanswered += 1
        if self._unanswered >= self._config.max_queued_messages:
            self._room.clear()
        act(self._handle)

    def _answered(self) -> None:
        self._set_unanswered(self._unanswered - 1)

    # ---- from the worker, in the event loop

    def _on_outcome(self, handle: Handle, outcome: Outcome) -> None:
        if handle is not self._handle:
            return
        if isinstance(outcome, Refused):
            if handle.session is None:
                self._end_session()
                self._started = False
            else:
                self._answered()
            self._put_error(outcome.error)
        elif isinstance(outcome, Crashed):
            self.fail(FatalError("worker_failed", outcome.error.message))
        elif isinstance(outcome, Opened):
            self._answered()
            self._put(lambda seq: self._opened(outcome, seq))
        else:
            if isinstance(outcome, Read | Updated):
                self._answered()
            elif isinstance(outcome, Failure):
                self._metrics.errors.labels(outcome.error.code).inc()
            elif isinstance(outcome, Done):
                log.info("session.done", session=self._session_id, reason=outcome.reason, **vars(outcome.usage))
                self._end_session()
            self._put(lambda seq: to_wire(outcome, seq))

    def _opened(self, opened: Opened, seq: int) -> wire.SessionStarted:
        return wire.SessionStarted(
            seq=seq,
            session_id=self._session_id,
            resume_token=None,
            model=opened.model,
            head=opened.head,
            threshold=opened.threshold,
            unit="word",
            limits=wire.Limits(
                max_source_tokens=opened.source_capacity,
                max_output_tokens=opened.max_output_tokens,
                max_message_bytes=self._config.max_message_bytes,
            ),
        )

    def _end_session(self) -> None:
        self._handle = None
        self._set_unanswered(0)

    def _set_unanswered(self, count: int) -> None:
        self._unanswered = count
        self._active_at = asyncio.get_running_loop().time()
        self._room.set()

    def _drop_session(self) -> None:
        if self._handle is not None:
            self._worker.close(self._handle)
            self._handle = None
