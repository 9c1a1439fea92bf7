"""`POST /v1/transcribe`: a sound file in, the events of its session out as server-sent events.

Knows HTTP, files and queries. The session is file_session.py's, and like any other: the same limits, and its slot is freed on every path.
"""

import asyncio
import contextlib
import importlib.util
import tempfile
from collections.abc import Callable
from typing import Self

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Json, ValidationError
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from errors import InvalidValueError, LimitError, ProactiveError, first_fault, in_our_words
from server import wire
from server.config import ServerConfig
from server.drain import Connections
from server.duplex import TELL_SECONDS
from server.file_session import FileSession
from server.limits import Quota
from server.metrics import Metrics
from server.refusals import refusal
from server.sound_file import SoundFile
from server.worker import Worker

PATH = "/v1/transcribe"
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
    rollover: bool = False

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


def mount(app: FastAPI, worker: Worker, config: ServerConfig, metrics: Metrics, connections: Connections) -> None:
    """Adds the route, where what it needs is installed. connections: those that are told when the server leaves."""
    if importlib.util.find_spec("soundfile") is None:
        return

    @app.post(PATH)
    async def transcribe(request: Request) -> Response:
        quota: Quota = request.state.quota
        try:
            asked = Asked.of(request)
            # Before anything is stored. Nothing is held while the file comes, so all of it is asked again behind it.
            worker.check_room(asked.model, asked.task)
            quota.check_session()
            with contextlib.ExitStack() as ends:
                files = contextlib.ExitStack()
                ends.callback(_close_elsewhere, files)
                file = files.enter_context(_new_file())
                await _receive(request, file, quota, config.max_file_bytes)
                sound = await asyncio.to_thread(SoundFile, file, quota.max_audio_seconds)
                files.callback(sound.close)
                session = ends.enter_context(FileSession(worker, quota, config, metrics))
                ends.enter_context(connections.hold(session))
                await session.open(asked.start(sound))
                return Events(session, sound, getattr(request.state, "hang_up", None), ends.pop_all().close)
        except ProactiveError as error:
            metrics.errors.labels(error.code).inc()
            return refusal(error)


class Events(StreamingResponse):
    """A session's events, server-sent; `close` is called however the response ends, even if it never began.

    hang_up: ends the connection of a client that does not even take the last of them, where the server has a way to.
    """

    def __init__(self, session: FileSession, sound: SoundFile, hang_up: Callable[[], None] | None, close: Callable[[], None]) -> None:
        super().__init__((), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._session, self._sound, self._hang_up, self._close = session, sound, hang_up, close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Sends them."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._close()

    async def stream_response(self, send: Send) -> None:
        """As Starlette's, which would wait for ever for a client that takes nothing."""
        begun = False

        async def say(event: str) -> None:
            nonlocal begun
            if not begun:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                begun = True
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})

        end: Message = {"type": "http.response.body", "body": b"", "more_body": False}
        try:
            await self._session.stream(self._sound, say)
            async with asyncio.timeout(TELL_SECONDS):
                await send(end)
        except TimeoutError:
            if self._hang_up is None:
                raise
            self._hang_up()
            await send(end)


def _close_elsewhere(files: contextlib.ExitStack) -> None:
    """A thread may be reading still, and closing waits for it: the event loop must not."""
    asyncio.get_running_loop().run_in_executor(None, files.close)


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
