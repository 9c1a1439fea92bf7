"""The settings of a realtime session: what may be set, how an update merges, and the `session.start` that they come to.

Knows OpenAI's session object and the native start; knows no model and no socket.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from server import wire
from server.realtime.messages import MaxOutputTokens, Nothing, RefusedError, ResponseParams, Strict, TextOnly, validated

_WHOLE = ("inputs", "head")  # replaced by an update, not merged into
QUERY = ("task", "head", "tier")  # of ours that may stand in the address
ELSEWHERE = ("type", "model", "instruction", "max_output_tokens", "modality", "audio")  # of a native start: OpenAI's fields say these
Own = dict[str, Any]


def _text_only() -> list[Literal["text"]]:
    return ["text"]


class Format(Strict):
    """Of the audio: PCM16, little endian, one channel."""

    type: Literal["audio/pcm"] = "audio/pcm"
    rate: Literal[24000] = 24000


class Transcription(Strict):
    """Which model transcribes."""

    model: str | None = None


class AudioInput(Strict):
    """No voice activity detection: the decision head says when there is something to write."""

    format: Format = Format()
    transcription: Transcription | None = None
    noise_reduction: None = None
    turn_detection: None = None


class Audio(Strict):
    """Audio comes in, none goes out."""

    input: AudioInput = AudioInput()


class RealtimeSession(Strict):
    """Source in, responses out."""

    type: Literal["realtime"]
    model: str | None = None
    instructions: str | None = None
    output_modalities: TextOnly = Field(default_factory=_text_only)
    max_output_tokens: MaxOutputTokens = "inf"
    audio: Audio = Audio()
    tools: Nothing = Field(default_factory=list)
    tool_choice: Literal["auto", "none"] = "auto"
    include: Nothing | None = None
    tracing: None = None
    truncation: Literal["disabled"] = "disabled"
    prompt: None = None
    proactivellm: Own | None = None


class TranscriptionSession(Strict):
    """Audio in, transcripts out."""

    type: Literal["transcription"]
    audio: Audio = Audio()
    include: Nothing | None = None
    proactivellm: Own | None = None


@dataclass(frozen=True)
class Settings:
    """`said` is what the client said, merged; `session` the same, checked."""

    said: dict[str, Any]
    session: RealtimeSession | TranscriptionSession
    query_model: str | None

    @classmethod
    def of_query(cls, query: Mapping[str, str]) -> "Settings":
        """`model`, `intent=transcription`, and our `task`, `head` and `tier`; the rest is ignored, as proxies add to it."""
        said: dict[str, Any] = {"type": "transcription" if query.get("intent") == "transcription" else "realtime"}
        if own := {name: query[name] for name in QUERY if name in query}:
            said["proactivellm"] = own
        return cls(said, _checked(said), query.get("model"))

    def updated(self, update: Mapping[str, Any]) -> "Settings":
        """With the fields of an update. Raises RefusedError, which names the field."""
        if "type" not in update:
            raise RefusedError("missing_required_parameter", "session.type: expected a value, got none", param="session.type")
        same = update["type"] == self.said["type"]
        said = _merged(self.said if same else {name: self.said[name] for name in ("proactivellm",) if name in self.said}, update)
        return Settings(said, _checked(said), self.query_model)

    @property
    def transcribes(self) -> bool:
        """True for a transcription session."""
        return isinstance(self.session, TranscriptionSession)

    @property
    def model(self) -> str | None:
        """The model that is asked for, if one is."""
        own = self.session.audio.input.transcription if isinstance(self.session, TranscriptionSession) else self.session
        return (own.model if own is not None else None) or self.query_model

    def shown(self, session_id: str) -> dict[str, Any]:
        """The session as `session.created` and `session.updated` show it; our key only for who used it."""
        shown = self.session.model_dump(exclude={"proactivellm"})
        kind = "realtime.transcription_session" if self.transcribes else "realtime.session"
        if not self.transcribes:
            shown |= {"model": self.model, "instructions": shown["instructions"] or ""}
        if self.session.proactivellm is not None:
            shown["proactivellm"] = self.session.proactivellm
        return {"object": kind, "id": session_id, "expires_at": None, **shown}

    def own(self, params: ResponseParams) -> Own:
        """What only we know: the session's under the response's."""
        return _merged(self.session.proactivellm or {}, params.proactivellm or {})

    def start(self, params: ResponseParams, task: str) -> wire.SessionStart:
        """The native start of one response. Raises RefusedError, which names the field."""
        instructions, most = params.instructions, params.max_output_tokens
        if isinstance(self.session, RealtimeSession):
            instructions = self.session.instructions if instructions is None else instructions
            most = most or self.session.max_output_tokens
        where = "session.proactivellm" if params.proactivellm is None else "response.proactivellm"
        return _native(
            {**self.own(params), "task": task},
            where,
            model=self.model,
            instruction=instructions or None,
            max_output_tokens=None if most == "inf" else most,
        )


def _checked(said: Mapping[str, Any]) -> RealtimeSession | TranscriptionSession:
    kinds: dict[str, type[RealtimeSession | TranscriptionSession]] = {"realtime": RealtimeSession, "transcription": TranscriptionSession}
    kind = kinds.get(said["type"]) if isinstance(said["type"], str) else None
    if kind is None:
        raise RefusedError("invalid_value", "session.type: expected 'realtime' or 'transcription', got another", param="session.type")
    session = validated(kind, said, "session.")
    _native({"task": "", **(session.proactivellm or {})}, "session.proactivellm")
    return session


def _native(own: Own, where: str, **ours: Any) -> wire.SessionStart:
    """Our key has the fields of a native start, but for those that OpenAI has too; `include` knows `phi` as well."""
    for name in ELSEWHERE:
        if name in own:
            raise RefusedError("unknown_parameter", f"{where}.{name}: expected no field of this name", param=f"{where}.{name}")
    include = own.get("include")
    if isinstance(include, list):
        own = {**own, "include": [name for name in include if name != "phi"]}
    return validated(wire.SessionStart, {"type": "session.start", **own, **ours}, f"{where}.")


def _merged(said: Mapping[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """`update` over `said`, objects field by field, but for those whose fields are the client's own: they would grow without bound.

    Of a tier and a threshold the newer stands.
    """
    merged = dict(said)
    if update.get("tier") is not None or update.get("threshold") is not None:
        merged.pop("tier", None)
        merged.pop("threshold", None)
    for name, value in update.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) and name not in _WHOLE else value
    return merged
