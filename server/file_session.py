"""A file's session of the engine: its samples go in, its events come out as fast as they are taken, and every way in which it can end.

Knows the worker, limits and bounds; knows no HTTP.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from engine.actions import AppendAudio, Done, End, Failure, Read
from errors import ProactiveError
from server import wire
from server.config import ServerConfig
from server.duplex import TELL_SECONDS, FatalError
from server.events import to_error, to_request, to_started, to_wire
from server.handle import Crashed, Handle, Opened, Outcome, Refused
from server.limits import Quota
from server.metrics import Metrics
from server.sound_file import SoundFile
from server.worker import Worker

log = structlog.get_logger()
BLOCK = 0.4  # seconds of sound in a message
AHEAD = 8  # messages whose events the client has not taken; behind them nothing is read off the file
Build = Callable[[int], wire.ServerEvent]  # an event, from its number
Say = Callable[[str], Awaitable[None]]  # to the client; returns once there is room for more


class FileSession:
    """One file's session. A context manager: behind it the slot is free."""

    def __init__(self, worker: Worker, quota: Quota, config: ServerConfig, metrics: Metrics) -> None:
        self._worker, self._quota, self._config, self._metrics = worker, quota, config, metrics
        self._events: asyncio.Queue[Build | Read | None] = asyncio.Queue(config.max_queued_events)
        self._room = asyncio.Semaphore(AHEAD)
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._fatal: asyncio.Future[ProactiveError] = asyncio.get_running_loop().create_future()
        self._handle = Handle(self._on_outcome)
        self._running = False
        self._seq = 0

    def __enter__(self) -> "FileSession":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the slot. Idempotent."""
        self._quota.end_session()
        if self._running:
            self._running = False
            self._worker.close(self._handle)

    def fail(self, error: ProactiveError) -> None:
        """Ends the session: the client is told. The first error stands."""
        if not self._fatal.done():
            self._fatal.set_result(error)

    def going_away(self, seconds: float) -> None:
        """Tells the client."""
        self._put(lambda seq: wire.GoingAway(seq=seq, seconds=seconds))

    async def open(self, start: wire.SessionStart) -> None:
        """Asks for the session. Raises ProactiveError where it is refused, or failed meanwhile."""
        self._worker.check_admits()
        self._quota.begin_session(self.fail)
        self._running = True
        self._worker.open(self._handle, start.model, to_request(start))
        ends: set[asyncio.Future[Any]] = {self._opened, self._fatal}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self._fatal.done():
            raise self._fatal.result()

    async def stream(self, sound: SoundFile, say: Say) -> None:
        """Says every event, as on `/v1/stream` but for the reads; the last is `done` or an `error`.

        Raises TimeoutError for a client that does not even take the error.
        """
        feeding, saying = asyncio.create_task(self._feed(sound)), asyncio.create_task(self._say(say))
        try:
            ends: set[asyncio.Future[Any]] = {saying, self._fatal}
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if not (saying.done() and saying.result()):
                await self._end(self._fatal.result(), saying, say)
        finally:
            feeding.cancel()
            saying.cancel()

    # ---- in

    async def _feed(self, sound: SoundFile) -> None:
        try:
            while self._running and (block := await asyncio.to_thread(sound.read, BLOCK)):
                await self._room.acquire()
                self._quota.audio(len(block) / sound.form.frame_bytes / sound.form.rate)
                self._send(AppendAudio(block))
            self._send(End())
        except ProactiveError as error:
            self.fail(error)
        except Exception:
            self._break()

    def _send(self, message: AppendAudio | End) -> None:
        if self._running:  # the target may have ended before its source
            self._worker.send(self._handle, message)

    # ---- out

    async def _say(self, say: Say) -> bool:
        """True once all is said, up to `done`; False once the session failed over it."""
        try:
            while (event := await self._events.get()) is not None:
                if isinstance(event, Read):
                    self._room.release()
                    continue
                async with asyncio.timeout(self._config.stalled_seconds):
                    await say(self._next(event))
                self._seq += 1
        except TimeoutError:
            self.fail(FatalError("slow_reader", f"expected the client to take its events, got none taken, {self._events.qsize()} waiting"))
        except Exception:
            self._break()
        else:
            return True
        return False

    async def _end(self, error: ProactiveError, saying: "asyncio.Task[bool]", say: Say) -> None:
        """Tells why, after what was queued. A client that does not read gets a second for both; the slot is free before."""
        self.close()
        self._metrics.errors.labels(error.code).inc()
        log.info("session.closing", session=self._handle.session_id, code=error.code)
        async with asyncio.timeout(TELL_SECONDS):
            if error.code == "slow_reader" or saying.done():
                saying.cancel()
            else:
                await self._events.put(None)
                await saying
            await say(self._next(lambda seq: to_error(error, seq, fatal=True)))

    def _next(self, build: Build) -> str:
        event: Any = build(self._seq + 1)
        return f"event: {event.type}\ndata: {event.model_dump_json()}\n\n"

    def _put(self, event: Build | Read | None) -> None:
        """A full queue means a client that does not read."""
        try:
            self._events.put_nowait(event)
        except asyncio.QueueFull:
            self.fail(FatalError("slow_reader", f"expected the client to take its events, got {self._events.maxsize} of them waiting"))

    def _break(self) -> None:
        """What nobody foresaw ends this session, and is told as little of as can be."""
        log.exception("session.failed", session=self._handle.session_id)
        self.fail(ProactiveError("expected the session to go on, the server failed over it; report it"))

    # ---- from the worker, in the event loop

    def _on_outcome(self, outcome: Outcome) -> None:
        if not self._running:
            return
        if isinstance(outcome, Refused | Crashed):
            self.fail(outcome.error)
        elif isinstance(outcome, Opened):
            self._start(outcome)
        elif isinstance(outcome, Read):
            self._put(outcome)
        else:
            if isinstance(outcome, Failure):
                self._metrics.errors.labels(outcome.error.code).inc()
            self._put(lambda seq: to_wire(outcome, seq))
            if isinstance(outcome, Done):
                self._running = False
                log.info("session.done", session=self._handle.session_id, key=self._quota.key, reason=outcome.reason, **vars(outcome.usage))
                self._put(None)

    def _start(self, opened: Opened) -> None:
        chosen = {"model": opened.model, "head": opened.head, "threshold": opened.threshold}
        log.info("session.started", session=self._handle.session_id, key=self._quota.key, **chosen)
        self._put(
            lambda seq: to_started(
                opened,
                seq,
                session_id=self._handle.session_id,
                token=None,
                audio_seconds=self._quota.max_audio_seconds,
                message_bytes=self._config.max_message_bytes,
            )
        )
        if not self._opened.done():
            self._opened.set_result(None)
