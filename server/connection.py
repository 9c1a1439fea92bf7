"""`/v1/stream`: messages in, session messages out to the worker, events back.

Knows the protocol's states; knows no model, and of the socket only what `Duplex` shows.
"""

import uuid
from collections.abc import Callable

import structlog
from fastapi import WebSocket
from pydantic import ValidationError

from backbones.audio_pcm import AudioFormat
from engine.actions import Append, AppendAudio, Done, End, Failure, Read, Updated
from errors import BadStateError, ProactiveError
from server import wire
from server.config import ServerConfig
from server.duplex import Build, FatalError
from server.events import to_error, to_request, to_started, to_wire
from server.metrics import Metrics
from server.resumable import Resumable
from server.resume import ResumeError, Resumes
from server.worker import Crashed, Handle, Opened, Outcome, Refused, Worker

log = structlog.get_logger()


class Connection(Resumable):
    """States: no session, starting (asked of the worker), running, ended (the last session is done).

    leaves_in: seconds until the server stops; None before it is told to
    """

    def __init__(
        self,
        socket: WebSocket,
        worker: Worker,
        config: ServerConfig,
        metrics: Metrics,
        resumes: Resumes,
        leaves_in: Callable[[], float | None],
    ) -> None:
        super().__init__(socket, config, metrics, resumes)
        self._leaves_in: Callable[[], float | None] = leaves_in
        self._greeted = leaves_in() is None  # whoever is here before the server is told to stop is told then
        self._worker = worker
        self._n = 0  # source messages of a session that is done
        self._handle: Handle | None = None
        self._started = False  # a session was ever asked for
        self._source_ended = False
        self._sound: AudioFormat | None = None  # of the last session, if it hears

    def going_away(self, seconds: float) -> None:
        """Tells the client."""
        self._put(lambda seq: wire.GoingAway(seq=seq, seconds=seconds))

    @property
    def is_done(self) -> bool:
        """No session runs."""
        return self._handle is None

    def _resumed(self, seq: int) -> wire.SessionResumed:
        n = self._n if self._handle is None else self._handle.n
        return wire.SessionResumed(seq=seq, n=n, frames=self._frames)

    def _error(self, error: ProactiveError, *, fatal: bool) -> Build:
        return lambda seq: to_error(error, seq, fatal=fatal)

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
            self._put(self._error(error, fatal=False))
            return
        try:
            self._handle_message(message)
        except (BadStateError, ResumeError) as bad:
            self._put_error(bad)

    def _greet(self, message: wire.ClientMessage) -> None:
        """Who connects while the server is stopping is told. Not before a resume, whose answer is `session.resumed`."""
        left = self._leaves_in()
        if not self._greeted and left is not None and not isinstance(message, wire.SessionResume):
            self.going_away(round(left, 1))
            self._greeted = True

    def _handle_message(self, message: wire.ClientMessage) -> None:
        self._greet(message)
        match message:
            case wire.Ping():
                self._put(lambda seq: wire.Pong(seq=seq, id=message.id))
            case wire.SessionStart():
                self._start(message)
            case wire.SourceAppend():
                self._check_open()
                self._forward(lambda handle: self._append(handle, message.text))
            case wire.SourceEnd():
                self._check_open()
                self._source_ended = True
                self._forward(lambda handle: self._worker.send(handle, End()))
            case wire.SessionUpdate():
                self._forward(lambda handle: self._worker.update(handle, message.tier, message.threshold))
            case wire.SessionResume():
                self._resume(message.resume_token, message.last_seq)
            case wire.SessionCancel():
                self._forward(self._worker.cancel)

    def _receive_binary(self, data: bytes) -> None:
        try:
            self._check_open()
            self._forward(lambda handle: self._append_audio(handle, data))
        except BadStateError as bad:
            self._put_error(bad)

    def _append_audio(self, handle: Handle, pcm: bytes) -> None:
        if self._sound is None:
            raise FatalError("bad_message", "expected source.append, as the session's modality is text; got a binary frame")
        self._quota.audio(len(pcm) / self._sound.frame_bytes / self._sound.rate)
        self._worker.send(handle, AppendAudio(pcm))

    def _append(self, handle: Handle, text: str) -> None:
        if self._sound is not None:
            raise FatalError("bad_message", "expected binary frames, as the session's modality is audio; got source.append")
        self._quota.source(len(text.encode()))
        if self._config.log_content:
            log.info("session.source", session=self._session_id, text=text)
        self._worker.send(handle, Append(text))

    def _start(self, start: wire.SessionStart) -> None:
        if self._handle is not None:
            raise BadStateError("expected session.start only before a session or after its done, got one in mid-session")
        self._worker.check_admits()
        self._quota.begin_session(self.fail)
        self._forget_token()
        self._started, self._source_ended, self._owes = True, False, 1
        self._session_id = uuid.uuid4().hex
        handle = Handle(lambda outcome: self._on_outcome(handle, outcome), self._session_id)
        self._handle = handle
        self._room.clear()  # what stands behind a start must not depend on how soon that is answered
        request = to_request(start)
        self._sound = request.audio
        self._worker.open(handle, start.model, request)

    def _check_open(self) -> None:
        if self._handle is not None and self._source_ended:
            raise BadStateError("expected no source after source.end, got more; start another session after done")

    def _forward(self, act: Callable[[Handle], None]) -> None:
        """Passes a message on to the worker."""
        if not self._started:
            raise BadStateError("expected session.start first, got a message for a session")
        if self._handle is None:
            return  # the session is done: the message came too late to matter
        self._owe()
        act(self._handle)

    def _answered(self) -> None:
        self._owe_only(self._owes - 1)

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
            self.fail(outcome.error)
        elif isinstance(outcome, Opened):
            self._answered()
            chosen = {"model": outcome.model, "head": outcome.head, "threshold": outcome.threshold}
            log.info("session.started", session=self._session_id, key=self._quota.key, **chosen)
            token = self._issue_token()
            self._put(lambda seq: self._opened(outcome, token, seq))
        else:
            if isinstance(outcome, Read | Updated):
                self._answered()
            elif isinstance(outcome, Failure):
                self._metrics.errors.labels(outcome.error.code).inc()
            elif isinstance(outcome, Done):
                content = {"text": outcome.text} if self._config.log_content else {}
                log.info(
                    "session.done", session=self._session_id, key=self._quota.key, reason=outcome.reason, **vars(outcome.usage), **content
                )
                self._end_session()
            self._put(lambda seq: to_wire(outcome, seq))

    def _opened(self, opened: Opened, token: str | None, seq: int) -> wire.SessionStarted:
        return to_started(
            opened,
            seq,
            session_id=self._session_id,
            token=token,
            audio_seconds=None if self._sound is None else self._quota.max_audio_seconds,
            message_bytes=self._config.max_message_bytes,
        )

    def _end_session(self) -> None:
        if self._handle is not None:
            self._n = self._handle.n
        self._handle = None
        self._quota.end_session()
        self._owe_only(0)

    def _drop_session(self) -> None:
        self._forget_token()
        if self._handle is not None:
            self._worker.close(self._handle)
            self._handle = None
