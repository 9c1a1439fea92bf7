"""One connection without a socket: builds the client's frames, checks the server's, and knows where the session stands.

Shared by the asyncio and the blocking client. Knows no I/O and no clock.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict
from urllib.parse import urlsplit, urlunsplit

from proactivellm_client.errors import ProtocolError, UnsendableError
from proactivellm_client.events import Decision, Done, Error, Event, Pong, Read, SessionStarted, SessionUpdated, Write, parse

SUBPROTOCOL = "proactivellm.v1"
State = Literal["idle", "starting", "running", "done"]


class Options(TypedDict, total=False):
    """What `session(task, …)` takes beside the task; what is left out, the server's checkpoint chooses."""

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
    """seq: events received; n: source messages sent and counted; answered: those that a read has answered; written: target tokens."""

    def __init__(self) -> None:
        self.state: State = "idle"
        self.seq = 0
        self.started: SessionStarted | None = None
        self.done: Done | None = None
        self.fatal: Error | None = None
        self.n = self.answered = self.written = 0
        self._ended = False

    # ---- frames to send

    def start(self, task: str, options: Options) -> str:
        """`session.start`. Raises ProtocolError while a session runs."""
        if self.state in ("starting", "running"):
            raise ProtocolError("expected no session to be running on this connection, got a second start")
        fields: dict[str, Any] = {name: value for name, value in options.items() if value is not None and name != "include_decisions"}
        if options.get("include_decisions"):
            fields["include"] = ["decision"]
        frame = _frame("session.start", task=task, **fields)
        self.state, self.started, self.done = "starting", None, None
        self.n = self.answered = self.written = 0
        self._ended = False
        return frame

    def append(self, text: str) -> str:
        """`source.append`. Raises ProtocolError after the source end, UnsendableError for a text that is too long.

        It is not cut in two: each part would be a decision point of its own.
        """
        self._check_source()
        frame = _frame("source.append", text=text)
        size, limit = len(frame.encode()), self.started.limits.max_message_bytes if self.started is not None else None
        if limit is not None and size > limit:
            raise UnsendableError(f"expected a text whose message has at most {limit} bytes, got one of {size}; send it in several pieces")
        self.n += 1
        return frame

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
        return _frame("session.cancel")

    def ping(self, id: int) -> str:  # noqa: A002 (the wire's name)
        """`ping`."""
        return _frame("ping", id=id)

    def _check_source(self) -> None:
        if self.state in ("idle", "starting"):
            raise ProtocolError("expected a session that has started, got source before that")
        if self._ended:
            raise ProtocolError("expected no source after end()")

    # ---- frames received

    def receive(self, frame: str | bytes) -> Event:
        """The event in a frame. Raises ProtocolError for one that cannot come now: an event was lost, or is nobody's answer."""
        if isinstance(frame, bytes):
            raise ProtocolError("expected a text frame, got a binary one")
        event = parse(frame)
        self.seq += 1
        if event.seq != self.seq:
            raise ProtocolError(f"expected seq {self.seq}, got {event.seq}: events were lost")
        if isinstance(event, Error):
            self._refused(event)
        elif isinstance(event, SessionStarted):
            self._expect("starting", event)
            self.state, self.started = "running", event
        elif isinstance(event, Write | Read | Decision | SessionUpdated | Done):
            self._expect("running", event)
            self._advance(event)
        return event

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
        elif isinstance(event, Done):
            self.state, self.done = "done", event

    def _expect(self, state: State, event: Event) -> None:
        if self.state != state:
            raise ProtocolError(f"expected no {type(event).__name__} while {self.state}, got {event}")


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
