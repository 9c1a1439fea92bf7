"""The messages of `/v1/stream` (subprotocol `proactivellm.v1`) as pydantic models, and nothing else.

clients/protocol.md explains them. This module knows no session, engine or socket; `python -m server.wire` prints the JSON Schema.
"""

import json
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic_core import from_json

from errors import cut, in_our_words

SUBPROTOCOL = "proactivellm.v1"
MAX_SEED = 2**63 - 1
MAX_COUNT = 2**31 - 1


class Message(BaseModel):
    """A frame with a `type`. Unknown fields are refused: a misspelt option must not be ignored in silence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


# ---- client -> server


class HeadSpec(BaseModel):
    """A decision head with parameters, such as `{"name": "attention", "score": "focus"}`."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True, allow_inf_nan=False)
    name: str


class Sampling(Message):
    """Temperature 0 is greedy. The same seed and the same message sequence give the same text."""

    temperature: float = Field(default=0.0, ge=0.0, le=10.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)
    seed: int = Field(default=0, ge=0, le=MAX_SEED)


class Tuned(Message):
    """What may change in mid-session: a tier's name or a threshold, never both."""

    tier: str | None = None
    threshold: float | None = None

    @model_validator(mode="after")
    def _one_of(self) -> "Tuned":
        if self.tier is not None and self.threshold is not None:
            raise ValueError("expected tier or threshold, got both")
        return self


class Audio(Message):
    """What the binary frames hold: samples without a header, little-endian, channels interleaved.

    silence_gate: no decision, and so no text, while nobody speaks
    """

    format: Literal["pcm16", "float32"]
    rate: int = Field(ge=8_000, le=48_000)
    channels: int = Field(default=1, ge=1, le=8)
    silence_gate: bool = True


class SessionStart(Tuned):
    """Opens a session. `max_lag` is in the session's unit (words, or ms of audio). With `rollover` it may outlast its slot."""

    # What the validator below says, for those who have only the schema.
    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"modality": {"const": "audio"}}, "required": ["modality"]},
            "then": {"properties": {"audio": {"type": "object"}}, "required": ["audio"]},
            "else": {"properties": {"audio": {"type": "null"}}},
        }
    )

    type: Literal["session.start"]
    task: str
    model: str | None = None
    inputs: dict[str, str] = Field(default_factory=dict)
    instruction: str | None = None
    head: str | HeadSpec | None = None
    modality: Literal["text", "audio"] = "text"
    audio: Audio | None = None
    max_lag: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    max_output_tokens: int | None = Field(default=None, ge=1, le=MAX_COUNT)
    stop: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=8)] = Field(default_factory=list)
    sampling: Sampling = Sampling()
    include: list[Literal["decision"]] = Field(default_factory=list)
    rollover: bool = False
    allow_stride: bool = False

    @model_validator(mode="after")
    def _told_how_it_sounds(self) -> "SessionStart":
        if (self.modality == "audio") != (self.audio is not None):
            raise ValueError("expected audio with modality audio, and with no other; got one of them")
        return self


class SourceAppend(Message):
    """The next piece of the source, cut anywhere."""

    type: Literal["source.append"]
    text: str


class SourceEnd(Message):
    """No more source: what is left of the target is written."""

    type: Literal["source.end"]


class SessionUpdate(Tuned):
    """Takes effect once the source messages sent before it are answered; behind `source.end` it is only acknowledged, before `done`."""

    type: Literal["session.update"]

    @model_validator(mode="after")
    def _something(self) -> "SessionUpdate":
        if self.tier is None and self.threshold is None:
            raise ValueError("expected tier or threshold, got neither")
        return self


class SessionResume(Message):
    """The first message of another connection: goes on with the session of a broken one. `last_seq`: the newest event that came."""

    type: Literal["session.resume"]
    resume_token: Annotated[str, Field(max_length=256)]
    last_seq: int = Field(ge=0, le=MAX_COUNT)


class SessionCancel(Message):
    """Ends the session now."""

    type: Literal["session.cancel"]


class Ping(Message):
    """Answered by `pong` with the same id."""

    type: Literal["ping"]
    id: Annotated[str, Field(max_length=256)] | int


ClientMessage = Annotated[
    SessionStart | SourceAppend | SourceEnd | SessionUpdate | SessionCancel | SessionResume | Ping,
    Field(discriminator="type"),
]
CLIENT: TypeAdapter[ClientMessage] = TypeAdapter(ClientMessage)

# ---- server -> client


class ServerEvent(Message):
    """`seq` counts 1, 2, … over a connection, and goes on over those that resume it."""

    seq: int


class Limits(Message):
    """What this session may use. Tokens of the source include neither prompt nor end segment; seconds are of audio, null for text."""

    max_source_tokens: int
    max_source_seconds: float | None = None
    max_output_tokens: int
    max_message_bytes: int


class SessionStarted(ServerEvent):
    """The session holds a slot. `resume_token` is null where the server does not resume."""

    type: Literal["session.started"] = "session.started"
    session_id: str
    resume_token: str | None
    model: str
    head: str
    threshold: float
    unit: Literal["word", "ms"]
    limits: Limits


class Write(ServerEvent):
    """Committed text: never revised, never empty. `index` is the first token's, `count` how many tokens it took."""

    type: Literal["write"] = "write"
    text: str
    index: int
    count: int
    phi: int
    n: int


class Read(ServerEvent):
    """Source message `n` is dealt with: nothing more to write until more source comes."""

    type: Literal["read"] = "read"
    phi: int
    n: int


class Decision(ServerEvent):
    """One decision, sent if asked for. `score` is null where the head was not asked: the write was forced."""

    type: Literal["decision"] = "decision"
    score: float | None
    threshold: float
    action: Literal["read", "write"]
    phi: int
    index: int
    n: int


class SessionUpdated(ServerEvent):
    """What is in force from target token `from_index` on. The server changes `stride` unasked: units between two decisions."""

    type: Literal["session.updated"] = "session.updated"
    threshold: float
    from_index: int
    stride: int = 1


class SessionResumed(ServerEvent):
    """The answer to `session.resume`; `seq` is that of the newest event, and those after `last_seq` follow.

    n: source messages that had arrived; frames: messages of the client that had, whatever they were; the client sends the rest again.
    """

    type: Literal["session.resumed"] = "session.resumed"
    n: int
    frames: int


class GoingAway(ServerEvent):
    """The server stops in so many seconds at the latest: running sessions may finish, no other may start."""

    type: Literal["going_away"] = "going_away"
    seconds: float


class Pong(ServerEvent):
    """Answer to `ping`."""

    type: Literal["pong"] = "pong"
    id: str | int


class Usage(Message):
    """Counts of one session. `source_units` is phi at the end; `probes` counts forward passes of the newest target token."""

    prompt_tokens: int
    source_tokens: int
    source_units: int
    target_tokens: int
    probes: int


class Done(ServerEvent):
    """The session is over and its slot is free. `rco` and `ail` are null unless the whole source was sent."""

    type: Literal["done"] = "done"
    text: str
    reason: Literal["end", "length", "context", "stop", "cancelled", "error"]
    usage: Usage
    rco: float | None
    ail: float | None


class Error(ServerEvent):
    """What was expected and what came. A fatal error is followed by a close."""

    type: Literal["error"] = "error"
    code: str
    message: str
    param: str | None = None
    n: int | None = None
    fatal: bool
    retry_after: float | None = None


AnyServerEvent = Annotated[
    SessionStarted | Write | Read | Decision | SessionUpdated | SessionResumed | Pong | Done | Error | GoingAway,
    Field(discriminator="type"),
]
SERVER: TypeAdapter[AnyServerEvent] = TypeAdapter(AnyServerEvent)


def explain(error: ValidationError) -> tuple[str, str | None]:
    """One sentence for the first fault of a message, and the field it is about."""
    fault = error.errors(include_url=False, include_context=False)[0]
    path = fault["loc"][1:]  # without the message's type
    if path[:1] in _UNIONS:
        path = (path[0], *path[2:])  # without the member of the union
    where = cut(".".join(map(str, path))) or None
    got, told = fault["input"], in_our_words(fault["msg"])
    if fault["type"] in ("union_tag_invalid", "union_tag_not_found"):
        got, told = got.get("type"), f"expected a type among: {', '.join(_TYPES)}"
    shown = "" if isinstance(got, dict | list) or fault["type"] in _TELLING else f"; got {str(got)[:80]!r}"
    return f"{where or 'message'}: {told}{shown}", where


def is_start_or_update(frame: str) -> bool:
    """True for a frame that can be read at all and whose `type` is one of the two messages that may fail without harm."""
    try:
        message = from_json(frame)  # json.loads would run out of stack on "[[[[…"
    except ValueError:
        return False
    return isinstance(message, dict) and message.get("type") in ("session.start", "session.update")


_UNIONS = (("head",), ("id",))
_TELLING = {"missing", "json_invalid"}  # their messages say what came, or that nothing did
_TYPES = [get_args(message.model_fields["type"].annotation)[0] for message in get_args(get_args(ClientMessage)[0])]


def json_schema() -> dict[str, Any]:
    """JSON Schema of both directions, as committed in clients/protocol.schema.json."""
    client = CLIENT.json_schema(ref_template="#/$defs/{model}")
    server = SERVER.json_schema(ref_template="#/$defs/{model}", mode="serialization")
    defs = {**client.pop("$defs"), **server.pop("$defs")}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SUBPROTOCOL,
        "$defs": {**defs, "ClientMessage": client, "ServerEvent": server},
        "oneOf": [{"$ref": "#/$defs/ClientMessage"}, {"$ref": "#/$defs/ServerEvent"}],
    }


if __name__ == "__main__":
    print(json.dumps(json_schema(), indent=2, sort_keys=True))
