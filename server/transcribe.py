"""`POST /v1/transcribe`: a sound file in, the events of its session out as server-sent events.

Knows HTTP and the worker; knows no websocket and no model. A session like any other: the same limits, and its slot is freed on every path.
"""

import asyncio
import contextlib
import importlib.util
import tempfile
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Json, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from engine.actions import AppendAudio, Done, End, Read
from errors import InvalidValueError, LimitError, ProactiveError, first_fault, in_our_words
from server import wire
from server.config import ServerConfig
from server.events import to_error, to_request, to_started, to_wire
from server.handle import Crashed, Handle, Opened, Outcome, Refused
from server.limits import Quota
from server.metrics import Metrics
from server.refusals import refusal
from server.sound_file import SoundFile
from server.worker import Worker

log = structlog.get_logger()
PATH = "/v1/transcribe"
BLOCK = 0.4  # seconds of sound in a message
AHEAD = 8  # messages without an answer; a client that takes no events gets none answered
IN_MEMORY = 1 << 20  # bytes of a file; the rest of a larger one is on disk


class Asked(BaseModel):
    """The query: fields of a `session.start`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    task: str = "transcribe"
    model: str | None = None
    inputs: Json[dict[str, str]] = {}
    head: str | None = None
    tier: str | None = None
    threshold: float | None = None
    max_output_tokens: int | None = None
    silence_gate: bool = True

    @classmethod
    def of(cls, request: Request) -> Self:
        """Raises InvalidValueError."""
        try:
            return cls.model_validate(dict(request.query_params))
        except ValidationError as error:
            raise _refused(error) from None

    def start(self, sound: SoundFile) -> wire.SessionStart:
        """The session for a file. Raises InvalidValueError."""
        form = sound.form
        audio = wire.Audio(format=form.encoding, rate=form.rate, channels=form.channels, silence_gate=self.silence_gate)
        try:
            return wire.SessionStart(type="session.start", modality="audio", audio=audio, **self.model_dump(exclude={"silence_gate"}))
        except ValidationError as error:
            raise _refused(error) from None


def mount(app: FastAPI, worker: Worker, config: ServerConfig, metrics: Metrics) -> None:
    """Adds the route, where what it needs is installed."""
    if importlib.util.find_spec("soundfile") is None:
        return

    @app.post(PATH)
    async def transcribe(request: Request) -> Response:
        quota: Quota = request.state.quota
        try:
            asked = Asked.of(request)
            worker.check_admits()
            with contextlib.ExitStack() as ends:
                file = ends.enter_context(_new_file())
                await _receive(request, file, quota, config.max_file_bytes)
                sound = await asyncio.to_thread(SoundFile, file, quota.max_audio_seconds)
                ends.callback(sound.close)
                session = ends.enter_context(FileSession(worker, quota, config, sound))
                opened = await session.open(asked.start(sound))
                return Events(session.events(opened), ends.pop_all().close)
        except ProactiveError as error:
            metrics.errors.labels(error.code).inc()
            return refusal(error)


class FileSession:
    """One file's session. A context manager: behind it the slot is free."""

    def __init__(self, worker: Worker, quota: Quota, config: ServerConfig, sound: SoundFile) -> None:
        self._worker, self._quota, self._sound, self._config = worker, quota, sound, config
        self._came: asyncio.Queue[Outcome | ProactiveError] = asyncio.Queue(config.max_queued_events)
        self._room = asyncio.Semaphore(AHEAD)
        self._handle = Handle(self._take)
        self._seq = 0
        self._opened = False

    def __enter__(self) -> "FileSession":
        return self

    def __exit__(self, *_: object) -> None:
        self._quota.end_session()
        if self._opened:
            self._worker.close(self._handle)

    def _take(self, outcome: Outcome | ProactiveError) -> None:
        # With AHEAD messages on their way the queue cannot be full, unless a message has a thousand events.
        with contextlib.suppress(asyncio.QueueFull):
            self._came.put_nowait(outcome)

    async def open(self, start: wire.SessionStart) -> Opened:
        """Asks for the session. Raises ProactiveError where it is refused."""
        self._quota.begin_session(self._take)
        self._opened = True
        self._worker.open(self._handle, start.model, to_request(start))
        outcome = await self._came.get()
        if isinstance(outcome, Refused | Crashed):
            raise outcome.error
        assert isinstance(outcome, Opened)
        log.info("session.started", session=self._handle.session_id, key=self._quota.key, model=outcome.model, head=outcome.head)
        return outcome

    async def events(self, opened: Opened) -> AsyncIterator[str]:
        """Of the whole session: as on `/v1/stream`, but for the reads."""
        yield self._told(
            lambda seq: to_started(
                opened,
                seq,
                session_id=self._handle.session_id,
                token=None,
                audio_seconds=self._quota.max_audio_seconds,
                message_bytes=self._config.max_message_bytes,
            )
        )
        sender = asyncio.create_task(self._send())
        try:
            async for event in self._until_done():
                yield event
        finally:
            sender.cancel()

    async def _until_done(self) -> AsyncIterator[str]:
        while True:
            outcome = await self._came.get()
            if isinstance(outcome, ProactiveError | Crashed | Refused):
                error = outcome if isinstance(outcome, ProactiveError) else outcome.error
                yield self._told(lambda seq, error=error: to_error(error, seq, fatal=True))  # type: ignore[misc]
                return
            if isinstance(outcome, Read):
                self._room.release()
            elif not isinstance(outcome, Opened):
                yield self._told(lambda seq, outcome=outcome: to_wire(outcome, seq))  # type: ignore[misc]
            if isinstance(outcome, Done):
                log.info("session.done", session=self._handle.session_id, reason=outcome.reason, **vars(outcome.usage))
                return

    def _told(self, build: Callable[[int], wire.ServerEvent]) -> str:
        self._seq += 1
        event: Any = build(self._seq)
        return f"event: {event.type}\ndata: {event.model_dump_json()}\n\n"

    async def _send(self) -> None:
        try:
            while block := await asyncio.to_thread(self._sound.read, BLOCK):
                await self._room.acquire()
                self._quota.audio(len(block) / self._sound.form.frame_bytes / self._sound.form.rate)
                self._worker.send(self._handle, AppendAudio(block))
        except ProactiveError as error:
            self._take(error)
        else:
            self._worker.send(self._handle, End())


class Events(StreamingResponse):
    """Server-sent events; `close` is called however the response ends, even if it never began."""

    def __init__(self, events: AsyncIterator[str], close: Callable[[], None]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()


def _new_file() -> "tempfile.SpooledTemporaryFile[bytes]":
    return tempfile.SpooledTemporaryFile(IN_MEMORY)


async def _receive(request: Request, file: "tempfile.SpooledTemporaryFile[bytes]", quota: Quota, limit: int) -> None:
    size = 0
    try:
        async for chunk in request.stream():
            quota.frame(len(chunk))
            size += len(chunk)
            if size > limit:
                raise LimitError("too_large", f"expected a file of at most {limit} bytes, got more")
            file.write(chunk)
    except ClientDisconnect:
        raise InvalidValueError("expected a whole file, the client left before", param="file") from None


def _refused(error: ValidationError) -> InvalidValueError:
    where, told = first_fault(error, "query")
    return InvalidValueError(f"{where}: {in_our_words(told)}", param=where)
