"""What a server sends, as frozen values, and how to read them from a frame. Knows the wire's fields; knows no order of events."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import UnionType
from typing import Any, Literal, TypeAlias, get_args, get_origin, get_type_hints

from proactivellm_client.errors import NoCapacityError, ProtocolError, ServerError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a session may use; `max_source_seconds` of audio, None for text."""

    max_source_tokens: int
    max_output_tokens: int
    max_message_bytes: int
    max_source_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Counts of a session; `source_units` in words, or ms of audio."""

    prompt_tokens: int
    source_tokens: int
    source_units: int
    target_tokens: int
    probes: int


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """The session holds a slot."""

    seq: int
    session_id: str
    resume_token: str | None
    model: str
    head: str
    threshold: float
    unit: Literal["word", "ms"]
    limits: Limits


@dataclass(frozen=True, slots=True)
class Write:
    """Committed text; `phi` words, or ms, of the source were visible, `n` is the source message that it answers."""

    seq: int
    text: str
    index: int
    count: int
    phi: int
    n: int


@dataclass(frozen=True, slots=True)
class Read:
    """Source message `n` is dealt with: nothing more to write until more source comes."""

    seq: int
    phi: int
    n: int


@dataclass(frozen=True, slots=True)
class Decision:
    """Why the next event is a write or a read. `score` is None where the head was not asked."""

    seq: int
    score: float | None
    threshold: float
    action: Literal["read", "write"]
    phi: int
    index: int
    n: int


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """What is in force from target token `from_index` on. The server may change `stride`, units between two decisions, if allowed."""

    seq: int
    threshold: float
    from_index: int
    stride: int = 1


@dataclass(frozen=True, slots=True)
class SessionResumed:
    """The session goes on over another connection: the server had `n` source messages, and `frames` messages of whatever kind."""

    seq: int
    n: int
    frames: int


@dataclass(frozen=True, slots=True)
class GoingAway:
    """The server stops in so many seconds at the latest: the session may finish, the next one should go elsewhere."""

    seq: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to a ping."""

    seq: int
    id: str | int


@dataclass(frozen=True, slots=True)
class Done:
    """The session is over. `rco` and `ail` are None unless the whole source was sent."""

    seq: int
    text: str
    reason: str
    usage: Usage
    rco: float | None
    ail: float | None


@dataclass(frozen=True, slots=True)
class Error:
    """What the server refused. A fatal one is raised as ServerError instead of being handed out."""

    seq: int
    code: str
    message: str
    fatal: bool
    param: str | None = None
    n: int | None = None
    retry_after: float | None = None

    def as_exception(self) -> ServerError:
        """The exception to raise for it."""
        kind = NoCapacityError if self.code in ("no_capacity", "not_ready") else ServerError
        return kind(self.code, self.message, param=self.param, fatal=self.fatal, retry_after=self.retry_after)


@dataclass(frozen=True, slots=True)
class UnknownEvent:
    """An event of a newer server."""

    seq: int
    type: str
    raw: Mapping[str, Any]


Event: TypeAlias = (
    SessionStarted | Write | Read | Decision | SessionUpdated | SessionResumed | GoingAway | Pong | Done | Error | UnknownEvent
)

_TYPES: Mapping[str, type[Any]] = {
    "session.started": SessionStarted,
    "write": Write,
    "read": Read,
    "decision": Decision,
    "session.updated": SessionUpdated,
    "session.resumed": SessionResumed,
    "going_away": GoingAway,
    "pong": Pong,
    "done": Done,
    "error": Error,
}
_PARTS: Mapping[str, type[Any]] = {"limits": Limits, "usage": Usage}


def parse(frame: str) -> Event:
    """The event in a text frame; fields that this version does not know are left out. Raises ProtocolError for anything else."""
    try:
        raw = json.loads(frame)
        kind, seq = raw["type"], raw["seq"]
        if not isinstance(kind, str) or type(seq) is not int:
            raise ProtocolError(f"expected an event with a type and a seq, got {frame[:200]!r}")
        if kind not in _TYPES:
            return UnknownEvent(seq, kind, raw)
        event: Event = _build(_TYPES[kind], raw)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ProtocolError(f"expected an event of proactivellm.v1, got {frame[:200]!r}: {error}") from error
    return event


def _build(kind: type[Any], raw: Mapping[str, Any]) -> Any:
    if not isinstance(raw, dict):
        raise TypeError(f"expected an object for {kind.__name__}, got {raw!r}")
    values: dict[str, Any] = {}
    for name, kinds in _FIELDS[kind].items():
        if name in raw:
            values[name] = _build(_PARTS[name], raw[name]) if name in _PARTS else raw[name]
            if type(values[name]) not in kinds:
                raise TypeError(f"expected {name} of another type, got {raw[name]!r}")
    return kind(**values)


def _kinds(hint: Any) -> set[type[Any]]:
    """The types that JSON may give for an annotation. A literal is any text: a newer server may know more words."""
    if isinstance(hint, UnionType):
        return set().union(*(_kinds(part) for part in get_args(hint)))
    if get_origin(hint) is Literal:
        return {str}
    return {float, int} if hint is float else {hint}


_FIELDS: Mapping[type[Any], Mapping[str, set[type[Any]]]] = {
    kind: {field.name: _kinds(get_type_hints(kind)[field.name]) for field in fields(kind)} for kind in (*_TYPES.values(), *_PARTS.values())
}
