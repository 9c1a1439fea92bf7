"""Audio as the protocol carries it, and the seam to whatever reads it: an utterance in, its transcript's events out.

Knows base64 and PCM16. Knows no resampler, encoder or model.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from backbones.audio_pcm import AudioFormat
from engine.actions import AppendAudio, Done, Event, Failure, Message, Write
from engine.engine import Engine
from engine.request import Request
from errors import ProactiveError
from server.handle import Opened
from server.realtime.events import (
    Committed,
    Dict,
    ItemEvent,
    ServerEvent,
    TranscriptCompleted,
    TranscriptDelta,
    TranscriptFailed,
    new_id,
)
from server.realtime.messages import RefusedError
from server.realtime.response import TOO_LONG, told


class AudioPath(Protocol):
    """Audio for the engine. What comes in is PCM16, little endian, one channel, 24 kHz."""

    def takes(self, engine: Engine) -> bool:
        """True for an engine whose model reads audio."""
        ...

    def request(self, request: Request) -> Request:
        """The same session, with audio as its source."""
        ...

    def piece(self, pcm: bytes) -> Message:
        """The next piece of the source."""
        ...


class EngineAudio:
    """The engine's."""

    def takes(self, engine: Engine) -> bool:
        """True for a checkpoint that hears."""
        return engine.checkpoint.hears

    def request(self, request: Request) -> Request:
        """Nobody speaks all the time: the gate is shut meanwhile."""
        return replace(request, audio=FORMAT, silence_gate=True)

    def piece(self, pcm: bytes) -> Message:
        """As it is."""
        return AppendAudio(pcm)


FORMAT = AudioFormat("pcm16", 24_000)
BYTES_PER_SECOND = FORMAT.frame_bytes * FORMAT.rate
PATH: AudioPath = EngineAudio()


def decoded(audio: str) -> bytes:
    """PCM16 from base64. Raises RefusedError for what is not base64, nothing, or half a sample."""
    try:
        pcm = base64.b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        pcm = b""
    if not pcm or len(pcm) % 2:
        raise RefusedError("invalid_value", "audio: expected base64 of whole samples of PCM16 at 24 kHz, got something else", param="audio")
    return pcm


def committed(item_id: str, previous: str | None) -> Sequence[ServerEvent]:
    """The buffer becomes a user's item behind `previous`."""
    content = [{"type": "input_audio", "transcript": None}]
    item: Dict = {"id": item_id, "object": "realtime.item", "type": "message", "status": "completed", "role": "user", "content": content}
    return [
        Committed(previous_item_id=previous, item_id=item_id),
        ItemEvent(type="conversation.item.added", previous_item_id=previous, item=item),
        ItemEvent(type="conversation.item.done", previous_item_id=previous, item=item),
    ]


class Transcript:
    """A session of the engine, told as the transcription of one utterance. Its deltas come before the commit, its end behind it."""

    def __init__(self) -> None:
        self.id = self.item_id = new_id("item")
        self._committed = False
        self._end: list[ServerEvent] = []
        self._failure: ProactiveError | None = None

    def opened(self, _: Opened, __: str | None) -> Sequence[ServerEvent]:
        """The slot is there: nothing to tell."""
        return []

    def on(self, event: Event) -> Sequence[ServerEvent]:
        """What an event of the session is told as."""
        match event:
            case Write():
                return [TranscriptDelta(item_id=self.item_id, delta=event.text)]
            case Failure():
                self._failure = event.error
            case Done():
                self._end = [self._over(event)]
                return self._take_end() if self._committed else []
        return []

    def refused(self, error: ProactiveError) -> Sequence[ServerEvent]:
        """No slot: there will be no transcript."""
        return [TranscriptFailed(item_id=self.item_id, error=told(error))]

    def commit(self, previous: str | None) -> Sequence[ServerEvent]:
        """The utterance is complete; what is known of its end by now comes behind."""
        self._committed = True
        return [*committed(self.item_id, previous), *self._take_end()]

    def _take_end(self) -> list[ServerEvent]:
        end, self._end = self._end, []
        return end

    def _over(self, done: Done) -> ServerEvent:
        if done.reason == "context":
            code, message = TOO_LONG
            return TranscriptFailed(item_id=self.item_id, error={"type": "invalid_request_error", "code": code, "message": message})
        if self._failure is not None:
            return TranscriptFailed(item_id=self.item_id, error=told(self._failure))
        read, written = done.usage.prompt_tokens + done.usage.source_tokens, done.usage.target_tokens
        usage: Dict = {"type": "tokens", "total_tokens": read + written, "input_tokens": read, "output_tokens": written}
        usage["input_token_details"] = {"text_tokens": done.usage.prompt_tokens, "audio_tokens": done.usage.source_tokens}
        return TranscriptCompleted(item_id=self.item_id, transcript=done.text, usage=usage)
