"""What a client sends on `/v1/realtime`: OpenAI's Realtime client events (GA) as far as they are served, and how a bad one is explained.

Knows their shapes. Knows no session, no engine and no socket; settings.py reads what is in `session`.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from errors import ProactiveError, cut, in_our_words

Model = TypeVar("Model", bound=BaseModel)
MAX_COUNT = 2**31 - 1
TELLING = {"missing", "extra_forbidden"}  # their messages say what came, or that nothing did
CODES = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
# Theirs, and of no use here: what they would change does not exist.
UNSUPPORTED = frozenset(
    {"conversation.item.retrieve", "conversation.item.delete", "conversation.item.truncate", "output_audio_buffer.clear"}
)


class RefusedError(ProactiveError):
    """An event that is answered with an `error`; nothing else changes."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


class Strict(BaseModel):
    """Unknown fields are refused: an option that would have no effect must not be taken in silence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


Id = Annotated[str, Field(min_length=1, max_length=512)]
MaxOutputTokens = Annotated[int, Field(ge=1, le=MAX_COUNT)] | Literal["inf"]
TextOnly = Annotated[list[Literal["text"]], Field(min_length=1, max_length=1)]
Nothing = Annotated[list[Any], Field(max_length=0)]


class ClientEvent(Strict):
    """`event_id` is the client's, and comes back in an error."""

    event_id: Annotated[str, Field(max_length=512)] | None = None


class SessionUpdate(ClientEvent):
    """New settings; only the fields that are there change."""

    type: Literal["session.update"]
    session: dict[str, Any]


class Part(Strict):
    """Text of a message."""

    type: Literal["input_text"]
    text: str


class Item(Strict):
    """A piece of the source. `status: in_progress` says that the source goes on behind it."""

    type: Literal["message"]
    role: Literal["user"]
    content: Annotated[list[Part], Field(min_length=1)]
    id: Id | None = None
    object: Literal["realtime.item"] | None = None
    status: Literal["completed", "incomplete", "in_progress"] | None = None

    @property
    def text(self) -> str:
        """Its parts, joined."""
        return "".join(part.text for part in self.content)


class ItemCreate(ClientEvent):
    """Appends an item to the conversation."""

    type: Literal["conversation.item.create"]
    item: Item
    previous_item_id: Id | None = None


class AudioAppend(ClientEvent):
    """`audio` is base64 of PCM16, little endian, one channel, 24 kHz."""

    type: Literal["input_audio_buffer.append"]
    audio: str


class AudioCommit(ClientEvent):
    """The utterance is complete."""

    type: Literal["input_audio_buffer.commit"]


class AudioClear(ClientEvent):
    """Drops the audio that was not committed."""

    type: Literal["input_audio_buffer.clear"]


class ResponseParams(Strict):
    """Settings of one response; what is not given is the session's."""

    instructions: str | None = None
    max_output_tokens: MaxOutputTokens | None = None
    output_modalities: TextOnly | None = None
    metadata: dict[str, str] | None = Field(default=None, max_length=16)
    conversation: Literal["auto"] | None = None
    tools: Nothing | None = None
    tool_choice: Literal["auto", "none"] | None = None
    proactivellm: dict[str, Any] | None = None


class ResponseCreate(ClientEvent):
    """Opens a session of the engine on the source."""

    type: Literal["response.create"]
    response: ResponseParams | None = None


class ResponseCancel(ClientEvent):
    """Ends the response in progress."""

    type: Literal["response.cancel"]
    response_id: Id | None = None


EVENTS: Mapping[str, type[ClientEvent]] = {
    "session.update": SessionUpdate,
    "conversation.item.create": ItemCreate,
    "input_audio_buffer.append": AudioAppend,
    "input_audio_buffer.commit": AudioCommit,
    "input_audio_buffer.clear": AudioClear,
    "response.create": ResponseCreate,
    "response.cancel": ResponseCancel,
}


def parse(text: str) -> dict[str, Any]:
    """The JSON object of a frame. Raises RefusedError (`invalid_json`)."""
    try:
        data = from_json(text)  # json.loads would run out of stack on "[[[[…"
    except ValueError as error:
        raise RefusedError("invalid_json", f"expected a JSON object: {cut(str(error))}") from None
    if not isinstance(data, dict):
        raise RefusedError("invalid_json", "expected a JSON object, got another value")
    return data


def read(data: dict[str, Any]) -> ClientEvent:
    """The event in a frame. Raises RefusedError, which names the field."""
    kind = data.get("type")
    if isinstance(kind, str) and kind in UNSUPPORTED:
        raise RefusedError("unsupported_event", f"expected one of: {', '.join(EVENTS)}; {kind} is not supported here", param="type")
    if not isinstance(kind, str) or kind not in EVENTS:
        raise RefusedError("invalid_value", f"type: expected one of: {', '.join(EVENTS)}; got {cut(str(kind), 80)!r}", param="type")
    return validated(EVENTS[kind], data)


def validated(model: type[Model], data: Mapping[str, Any], prefix: str = "") -> Model:
    """`data` as a model. Raises RefusedError for its first fault, with the path of the field behind `prefix`."""
    try:
        return model.model_validate(data)
    except ValidationError as invalid:
        fault = invalid.errors(include_url=False, include_context=False)[0]
    path = (prefix + _path(data, fault["loc"])).rstrip(".")
    got, kind = fault["input"], fault["type"]
    shown = "" if isinstance(got, dict | list) or kind in TELLING else f"; got {cut(str(got), 80)!r}"
    raise RefusedError(
        CODES.get(kind, "invalid_value"), f"{cut(path) or 'event'}: {in_our_words(fault['msg'])}{shown}", param=path or None
    ) from None


def _path(data: Any, location: Sequence[str | int]) -> str:
    """The place in the client's JSON: pydantic also names the members of unions, which nobody sent."""
    path = []
    for place, part in enumerate(location):
        inside = part in data if isinstance(data, dict) else isinstance(data, list) and isinstance(part, int) and part < len(data)
        if inside:
            data = data[part]
        elif not (isinstance(data, dict) and place == len(location) - 1):
            continue
        path.append(str(part))
    return ".".join(path)
