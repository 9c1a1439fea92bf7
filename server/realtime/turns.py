"""The turns of `/v1/realtime`: the source goes to a session of the engine, and what that says is told by a response or a transcript.

Knows when a session begins and ends; knows no event of the client's.
"""

from collections.abc import Sequence

import structlog
from fastapi import WebSocket

from engine.actions import Done, End, Failure, Read, Updated
from engine.request import Request
from errors import LimitError, ProactiveError
from server.config import ServerConfig
from server.duplex import Build, Duplex, FatalError
from server.handle import Crashed, Handle, Opened, Outcome, Refused
from server.metrics import Metrics
from server.realtime.audio import BYTES_PER_SECOND, Transcript
from server.realtime.events import ErrorEvent, ServerEvent, new_id
from server.realtime.messages import RefusedError
from server.realtime.response import Response, told
from server.realtime.source import Piece, Source
from server.worker import Worker

log = structlog.get_logger()
Speaker = Response | Transcript
TOKEN_SECONDS = 0.04  # of sound that stand in a row of a slot: more than fills it need not wait for a session


class Turns(Duplex):
    """One turn, a response or a transcript, at a time: `_speaker` tells it, `_handle` is its session of the engine."""

    def __init__(self, socket: WebSocket, worker: Worker, config: ServerConfig, metrics: Metrics) -> None:
        super().__init__(socket, config, metrics)
        self._worker = worker
        self._session_id = new_id("sess")
        self._source = Source(config.slot_length, config.max_source_bytes, int(config.slot_length * TOKEN_SECONDS * BYTES_PER_SECOND))
        self._handle: Handle | None = None
        self._speaker: Speaker | None = None
        self._opened_by: str | None = None  # event_id of what asked for the session
        self._cause: str | None = None  # event_id of what is being handled
        self._last_item: str | None = None
        self._uncommitted = 0  # bytes of audio

    def _say(self, *events: ServerEvent) -> None:
        for event in events:
            self._put(_same(event))

    def _error(self, error: ProactiveError, *, fatal: bool) -> Build:
        return _same(ErrorEvent(error=told(error, event_id=self._cause)))

    def _refuse(self, error: ProactiveError) -> None:
        """Answers with an error that ends nothing."""
        self._metrics.errors.labels(error.code).inc()
        self._put(self._error(error, fatal=False))

    # ---- to the worker

    def _check_ready(self) -> None:
        try:
            self._worker.check_admits()
        except LimitError as error:
            kind = RefusedError if error.code == "not_ready" else FatalError
            raise kind(error.code, error.message) from None

    def _open(self, speaker: Speaker, model: str | None, request: Request) -> None:
        self._quota.begin_session(self.fail)
        handle = Handle(lambda outcome: self._on_outcome(handle, outcome))
        self._handle, self._speaker, self._opened_by = handle, speaker, self._cause
        self._owes = 1
        self._room.clear()  # what stands behind it must not depend on how soon that is answered
        self._worker.open(handle, model, request)

    def _add(self, piece: Piece | None, *, last: bool) -> bool:
        """A piece of the source goes to who reads it, or waits. False if its source's session is done already."""
        source = self._source
        if source.loses(last=last):
            return False
        if not source.read:
            source.wait(piece, last=last)
            return True
        source.read = not last
        self._forward([piece] if piece is not None else [], last=last)
        return True

    def _forward(self, pieces: Sequence[Piece], *, last: bool) -> None:
        assert self._handle is not None
        for message, size in [*pieces, (End(), 0)] if last else pieces:
            try:
                self._quota.audio(size / BYTES_PER_SECOND) if self._source.audio else self._quota.source(size)
            except LimitError as error:
                self.fail(error)
                return
            self._owe()
            self._worker.send(self._handle, message)

    # ---- from the worker, in the event loop

    def _on_outcome(self, handle: Handle, outcome: Outcome) -> None:
        if handle is not self._handle:
            return
        speaker = self._speaker
        assert speaker is not None
        if isinstance(outcome, Crashed):
            self.fail(outcome.error)
        elif isinstance(outcome, Refused):
            self._not_opened(speaker, outcome.error)
        elif isinstance(outcome, Opened):
            self._opened(handle, speaker, outcome)
        else:
            if isinstance(outcome, Read | Updated):
                self._owe_only(self._owes - 1)
            elif isinstance(outcome, Failure):
                self._metrics.errors.labels(outcome.error.code).inc()
            self._say(*speaker.on(outcome))
            if isinstance(outcome, Done):
                self._done(handle, outcome)

    def _opened(self, handle: Handle, speaker: Speaker, opened: Opened) -> None:
        chosen = {"model": opened.model, "head": opened.head, "threshold": opened.threshold}
        log.info("session.started", session=handle.session_id, realtime=self._session_id, key=self._quota.key, **chosen)
        self._say(*speaker.opened(opened, self._last_item))
        if isinstance(speaker, Response):
            self._last_item = speaker.item_id
        self._owe_only(self._owes - 1)
        last = self._source.complete
        self._forward(self._source.take(), last=last)

    def _done(self, handle: Handle, done: Done) -> None:
        content = {"text": done.text} if self._config.log_content else {}
        log.info("session.done", session=handle.session_id, key=self._quota.key, reason=done.reason, **vars(done.usage), **content)
        self._handle = None
        self._quota.end_session()
        self._source.over()
        if isinstance(self._speaker, Response) or not self._uncommitted:
            self._speaker = None  # a transcript is told to its commit
        self._owe_only(0)

    def _not_opened(self, speaker: Speaker, error: ProactiveError) -> None:
        self._handle = None
        self._quota.end_session()
        self._owe_only(0)
        if isinstance(speaker, Transcript):  # its utterance goes on, and is committed
            self._source.forget()
            self._source.left = True
            self._say(*speaker.refused(error))
        else:
            self._speaker, self._cause = None, self._opened_by
            self._refuse(error)
            self._cause = None

    def _owe_only(self, count: int) -> None:
        if isinstance(self._speaker, Transcript) and self._handle is not None and not self._uncommitted:
            self._owes = count
            self._room.clear()  # a committed utterance is written to its end before the next one is heard
        else:
            super()._owe_only(count)

    def _drop_session(self) -> None:
        if self._handle is not None:
            self._worker.close(self._handle)
            self._handle = None


def _same(event: ServerEvent) -> Build:
    """An event that needs no number."""
    return lambda _: event
