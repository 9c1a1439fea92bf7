"""One connection without a socket: builds the client's frames, checks the server's, and knows where the session stands.

Shared by the asyncio and the blocking client. Knows no I/O and no clock.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypedDict
from urllib.parse import urlsplit, urlunsplit

from proactivellm_client.errors import ClientError, ClosedError, DivergedError, ProtocolError, UnsendableError
from proactivellm_client.events import (
    Decision,
    Done,
    Error,
    Event,
    Pong,
    Read,
    SessionResumed,
    SessionStarted,
    SessionUpdated,
    Write,
    parse,
)
from proactivellm_client.replayed import ELSEWHERE, Replayed
from proactivellm_client.unanswered import Unanswered

SUBPROTOCOL = "proactivellm.v1"
State = Literal["idle", "starting", "running", "done"]


class Options(TypedDict, total=False):
    """What `session(task, …)` takes beside the task; what is left out, the server's checkpoint chooses.

    audio: the source is heard: `format` (pcm16, float32), `rate` in Hz, perhaps `channels` and `silence_gate`
    """

    model: str | None
    inputs: Mapping[str, str] | None
    instruction: str | None
    head: str | Mapping[str, Any] | None
    tier: str | None
    threshold: float | None
    max_lag: int | None
    max_output_tokens: int | None
    stop: Sequence[str] | None
    sampling: Mapping[str, float | int] | None
    include_decisions: bool
    rollover: bool
    audio: Mapping[str, Any] | None
    allow_stride: bool


def websocket_url(url: str) -> str:
    """`http` becomes `ws`, a missing path `/v1/stream`. Raises ProtocolError for any other scheme."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # read for its ValueError
    except ValueError as error:
        raise ProtocolError(f"expected a URL such as ws://127.0.0.1:8000, got {url!r}: {error}") from error
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in ("ws", "wss") or not parts.hostname:
        raise ProtocolError(f"expected a URL such as ws://127.0.0.1:8000, got {url!r}")
    return urlunsplit((scheme, parts.netloc, "/v1/stream" if parts.path in ("", "/") else parts.path, parts.query, ""))


class Protocol:
    """seq: events received; n: source messages sent and counted; answered: those that a read has answered; written: target tokens.

    unanswered: what a broken connection may have lost, where sessions are to be resumed or begun again, else None
    """

    def __init__(self, *, resume: bool = False, replay: bool = False) -> None:
        self.state: State = "idle"
        self.unanswered = Unanswered(whole=replay) if resume or replay else None
        self._resumes = resume
        self._replayed = Replayed() if replay else None
        self._cancelled = False
        self._diverged: DivergedError | None = None
        self.seq = 0
        self.started: SessionStarted | None = None
        self.done: Done | None = None
        self.fatal: Error | None = None
        self.n = self.answered = self.written = 0
        self._ended = False
        self._sample_bytes: int | None = None  # of every channel, in a session that hears

    # ---- frames to send

    def start(self, task: str, options: Options) -> str:
        """`session.start`. Raises ProtocolError while a session runs."""
        if self.state in ("starting", "running"):
            raise ProtocolError("expected no session to be running on this connection, got a second start")
        fields: dict[str, Any] = {name: value for name, value in options.items() if value is not None and name != "include_decisions"}
        if options.get("include_decisions"):
            fields["include"] = ["decision"]
        if audio := options.get("audio"):
            fields["modality"] = "audio"
        frame = _frame("session.start", task=task, **fields)
        self._sample_bytes = _sample_bytes(audio) if audio else None
        self.state, self.started, self.done = "starting", None, None
        self.n = self.answered = self.written = 0
        self._ended = self._cancelled = False
        if self._replayed is not None:
            self._replayed = Replayed()
        return frame

    def append(self, text: str) -> str:
        """`source.append`. Raises ProtocolError after the source end, UnsendableError for a text that is too long.

        It is not cut in two: each part would be a decision point of its own.
        """
        self._check_source()
        if self._sample_bytes is not None:
            raise UnsendableError("expected samples, as the session hears, got text; use send_audio()")
        frame = _frame("source.append", text=text)
        size, limit = len(frame.encode()), self.started.limits.max_message_bytes if self.started is not None else None
        if limit is not None and size > limit:
            raise UnsendableError(f"expected a text whose message has at most {limit} bytes, got one of {size}; send it in several pieces")
        self.n += 1
        return frame

    def audio(self, pcm: bytes) -> Iterator[bytes]:
        """Binary frames; each is a source message of its own, but where the samples are cut changes nothing that is written.

        Raises ProtocolError after the source end, UnsendableError for a part of a sample or in a session that reads text.
        """
        self._check_source()
        size = self._sample_bytes
        if size is None:
            raise UnsendableError("expected text, as the session was started without audio, got samples; use send()")
        if len(pcm) % size:
            raise UnsendableError(f"expected a multiple of {size} bytes, the samples of every channel, got {len(pcm)}")
        limit = self.started.limits.max_message_bytes if self.started is not None else len(pcm)
        step = max(limit // size, 1) * size
        for at in range(0, len(pcm), step):
            self.n += 1
            yield pcm[at : at + step]

    def end(self) -> str:
        """`source.end`. Raises ProtocolError when called twice."""
        self._check_source()
        self.n += 1
        self._ended = True
        return _frame("source.end")

    def update(self, tier: str | None, threshold: float | None) -> str:
        """`session.update`."""
        if (tier is None) == (threshold is None):
            raise ProtocolError("expected tier or threshold, got both or neither")
        return _frame("session.update", **({"tier": tier} if tier is not None else {"threshold": threshold}))

    def cancel(self) -> str:
        """`session.cancel`."""
        self._cancelled = True
        return _frame("session.cancel")

    def ping(self, id: int) -> str:  # noqa: A002 (the wire's name)
        """`ping`."""
        return _frame("ping", id=id)

    def _check_source(self) -> None:
        if self.state in ("idle", "starting"):
            raise ProtocolError("expected a session that has started, got source before that")
        if self._ended:
            raise ProtocolError("expected no source after end()")

    # ---- a connection that ended

    def why(self, closed: ClosedError) -> ClientError:
        """What to raise for it: the fatal error that the server told, if it did."""
        return closed if self.fatal is None else self.fatal.as_exception()

    def sent(self, frame: str | bytes, n: int | None) -> None:
        """A frame is about to be sent; n: which source message it is, 0 for a start, None for what is neither."""
        if self.unanswered is not None:
            self.unanswered.add(frame, n)

    @property
    def resumable(self) -> bool:
        """True while a session runs that another connection may go on with."""
        asked = self._resumes and self.started is not None and self.started.resume_token is not None
        return asked and self.state == "running" and self.fatal is None

    @property
    def mendable(self) -> bool:
        """True while a session runs that may be resumed, or begun again: at another server too, after errors of this one.

        Not after a cancel, which would overtake the source that is sent again.
        """
        elsewhere = self.fatal is None or self.fatal.code in ELSEWHERE
        again = self._replayed is not None and self.state == "running" and elsewhere and not self._cancelled and self._diverged is None
        return self.resumable or again

    def resume(self) -> str:
        """`session.resume`: the first frame of another connection."""
        assert self.started is not None
        return _frame("session.resume", resume_token=self.started.resume_token, last_seq=self.seq)

    def resumed(self, frame: str | bytes) -> int | None:
        """The number of frames that the server has, from its answer to `resume`. Raises ServerError for a refusal.

        None where it has no such session, and one is to be begun again. The answer is none of the session's events: what was missed
        follows it, under its old numbers.
        """
        event = parse(frame) if isinstance(frame, str) else None
        if isinstance(event, Error):
            if self._replayed is not None and event.code in ("unknown_session", "resume_gap"):
                return None
            raise event.as_exception()
        if not isinstance(event, SessionResumed):
            raise ProtocolError(f"expected session.resumed, got {event}")
        return event.frames

    def start_again(self) -> str | bytes:
        """The `session.start` as it was sent: the first frame of another connection, or of one where `resume` was refused."""
        assert self.unanswered is not None
        return self.unanswered.first()

    def begun_again(self, frame: str | bytes) -> bool:
        """True if this event, of another connection, is the answer to the start that was sent again.

        Raises ServerError for a refusal, DivergedError where another model or policy would go on.
        """
        event = parse(frame) if isinstance(frame, str) else None
        if isinstance(event, Error):
            raise event.as_exception()
        if not isinstance(event, SessionStarted):
            return False
        assert self.started is not None
        assert self.unanswered is not None
        assert self._replayed is not None
        for name in ("model", "head", "threshold", "unit"):
            if (before := getattr(self.started, name)) != (now := getattr(event, name)):
                self._diverged = DivergedError(f"expected the session that was begun again to have the {name} {before!r}, got {now!r}")
                raise self._diverged
        self.started, self.seq, self.fatal = event, event.seq, None
        self.answered = self.written = 0
        self._replayed.begin_again()
        self.unanswered.restart()
        return True

    # ---- frames received

    def receive(self, frame: str | bytes) -> Event | None:
        """The event in a frame. Raises ProtocolError for one that cannot come now: an event was lost, or is nobody's answer.

        None for one that was handed out before, where sessions are resumed or begun again: something between may say things twice.
        Raises DivergedError where one that was begun again does not go as before.
        """
        if self._diverged is not None:
            raise self._diverged
        if isinstance(frame, bytes):
            raise ProtocolError("expected a text frame, got a binary one")
        event = parse(frame)
        if self.unanswered is not None and event.seq <= self.seq:
            return None
        self.seq += 1
        if event.seq != self.seq:
            raise ProtocolError(f"expected seq {self.seq}, got {event.seq}: events were lost")
        if isinstance(event, Error):
            self._refused(event)
        elif isinstance(event, SessionStarted):
            self._expect("starting", event)
            self.state, self.started = "running", event
            self._arrived(0)
        elif isinstance(event, Write | Read | Decision | SessionUpdated | Done):
            self._expect("running", event)
            self._advance(event)
        return event if self._is_new(event) else None

    def _is_new(self, event: Event) -> bool:
        if self._replayed is None or not isinstance(event, Write | Read | Decision | SessionUpdated | Done | Error):
            return True
        try:
            return (isinstance(event, Error) and (event.fatal or self.state != "running")) or self._replayed.is_new(event)
        except DivergedError as error:
            self._diverged = error
            raise

    def _refused(self, error: Error) -> None:
        if error.fatal:
            self.fatal = error
        elif self.state == "starting":
            self.state = "idle"

    def _advance(self, event: Write | Read | Decision | SessionUpdated | Done) -> None:
        if isinstance(event, Write):
            if not event.text or event.index != self.written:
                raise ProtocolError(f"expected text from token {self.written} on, got {event}")
            self.written += event.count
        elif isinstance(event, Read):
            self.answered += 1
            if event.n != self.answered or event.n > self.n:
                raise ProtocolError(f"expected an answer to source message {self.answered} of {self.n}, got {event}")
            self._arrived(event.n)
        elif isinstance(event, Done):
            self.state, self.done = "done", event

    def _arrived(self, n: int) -> None:
        if self.unanswered is not None:
            self.unanswered.arrived(n)

    def _expect(self, state: State, event: Event) -> None:
        if self.state != state:
            raise ProtocolError(f"expected no {type(event).__name__} while {self.state}, got {event}")


def _sample_bytes(audio: Mapping[str, Any]) -> int:
    """Of a format that the server will refuse, any number is as good as another."""
    channels = audio.get("channels", 1)
    return (4 if audio.get("format") == "float32" else 2) * (channels if isinstance(channels, int) and channels > 0 else 1)


def is_for_iteration(event: Event) -> bool:
    """False for pongs: `ping()` takes those."""
    return not isinstance(event, Pong)


def _frame(type: str, **fields: Any) -> str:  # noqa: A002 (the wire's name)
    """The message as JSON in UTF-8. Raises UnsendableError."""
    try:
        frame = json.dumps({"type": type, **fields}, ensure_ascii=False, allow_nan=False)
        frame.encode()
    except ValueError as error:
        raise UnsendableError(f"expected text and finite numbers that JSON in UTF-8 can hold: {error}") from error
    return frame
