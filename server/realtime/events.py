"""What the server sends on `/v1/realtime`: OpenAI's Realtime server events (GA), and two of our own for who asks.

Knows shapes and ids, nothing of when they are sent.
"""

import uuid
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Dict = dict[str, Any]


def new_id(kind: str) -> str:
    """`sess_…`, `conv_…`, `item_…`, `resp_…` or `event_…`."""
    return f"{kind}_{uuid.uuid4().hex[:24]}"


class ServerEvent(BaseModel):
    """Every event has an id of its own."""

    model_config = ConfigDict(frozen=True)
    type: str
    event_id: str = Field(default_factory=lambda: new_id("event"))


class SessionEvent(ServerEvent):
    """The settings in force."""

    type: Literal["session.created", "session.updated"]
    session: Dict


class ItemEvent(ServerEvent):
    """An item of the conversation, behind the previous one."""

    type: Literal["conversation.item.added", "conversation.item.done"]
    previous_item_id: str | None
    item: Dict


class Committed(ServerEvent):
    """The audio is complete and becomes an item."""

    type: Literal["input_audio_buffer.committed"] = "input_audio_buffer.committed"
    previous_item_id: str | None
    item_id: str


class Cleared(ServerEvent):
    """No uncommitted audio is left."""

    type: Literal["input_audio_buffer.cleared"] = "input_audio_buffer.cleared"


class ResponseEvent(ServerEvent):
    """A response at its start and at its end."""

    type: Literal["response.created", "response.done"]
    response: Dict


class OutputItemEvent(ServerEvent):
    """The target's item."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    response_id: str
    output_index: int = 0
    item: Dict


class TargetEvent(ServerEvent):
    """About the only part of the only item of a response."""

    response_id: str
    item_id: str
    output_index: int = 0
    content_index: int = 0


class PartEvent(TargetEvent):
    """The target's part."""

    type: Literal["response.content_part.added", "response.content_part.done"]
    part: Dict


class TextDelta(TargetEvent):
    """Committed text: never revised, never empty."""

    type: Literal["response.output_text.delta"] = "response.output_text.delta"
    delta: str


class TextDeltaWithPhi(TextDelta):
    """For who asked for phi: `{phi, index, count}`, as in a native `write`."""

    proactivellm: Dict


class TextDone(TargetEvent):
    """All deltas, joined."""

    type: Literal["response.output_text.done"] = "response.output_text.done"
    text: str


class TranscriptEvent(ServerEvent):
    """About the transcript of an audio item."""

    item_id: str
    content_index: int = 0


class TranscriptDelta(TranscriptEvent):
    """Committed text of the transcript."""

    type: Literal["conversation.item.input_audio_transcription.delta"] = "conversation.item.input_audio_transcription.delta"
    delta: str


class TranscriptCompleted(TranscriptEvent):
    """The whole transcript."""

    type: Literal["conversation.item.input_audio_transcription.completed"] = "conversation.item.input_audio_transcription.completed"
    transcript: str
    usage: Dict


class TranscriptFailed(TranscriptEvent):
    """There will be no more of the transcript."""

    type: Literal["conversation.item.input_audio_transcription.failed"] = "conversation.item.input_audio_transcription.failed"
    error: Dict


class ErrorEvent(ServerEvent):
    """`error`: type, code, message, param and the client's event_id."""

    type: Literal["error"] = "error"
    error: Dict


class DecisionEvent(ServerEvent):
    """One decision of the head, for who asked; fields as in a native `decision`."""

    type: Literal["proactivellm.decision"] = "proactivellm.decision"
    response_id: str
    score: float | None
    threshold: float
    action: Literal["read", "write"]
    phi: int
    index: int


class ReadEvent(ServerEvent):
    """A piece of the source is dealt with and more is needed, for who asked for phi."""

    type: Literal["proactivellm.read"] = "proactivellm.read"
    response_id: str
    phi: int
