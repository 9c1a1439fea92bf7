"""One response: a session of the engine, told in OpenAI's events and in their order. Knows both vocabularies and nothing that moves."""

from collections.abc import Sequence
from math import isinf
from typing import Any

from engine.actions import Decision, Done, Event, Failure, Read, Write
from errors import ProactiveError
from server.handle import Opened
from server.realtime.events import (
    DecisionEvent,
    Dict,
    ItemEvent,
    OutputItemEvent,
    PartEvent,
    ReadEvent,
    ResponseEvent,
    ServerEvent,
    TextDelta,
    TextDeltaWithPhi,
    TextDone,
    new_id,
)
from server.realtime.messages import ResponseParams

STATUS = {"end": "completed", "stop": "completed", "length": "incomplete", "cancelled": "cancelled", "context": "failed", "error": "failed"}
TOO_LONG = ("context_length_exceeded", "expected a source that fits into the slot, got a longer one")
SERVERS_FAULT = frozenset({"bad_signal", "internal", "no_capacity", "not_ready", "worker_failed", "shutting_down", "bad_head"})


def told(error: ProactiveError, **more: Any) -> Dict:
    """An error as theirs: `type` says whose fault it is."""
    kind = "server_error" if error.code in SERVERS_FAULT else "invalid_request_error"
    return {"type": kind, "code": error.code, "message": error.message, "param": error.param, **more}


class Response:
    """Its events, from the engine's. `phi` says that the client asked for what is ours; `heard`: its source is sound."""

    def __init__(
        self, params: ResponseParams, conversation_id: str, *, max_output_tokens: int | str, phi: bool, heard: bool = False
    ) -> None:
        self.id, self.item_id = new_id("resp"), new_id("item")
        self._metadata, self._conversation_id, self._most, self._phi = params.metadata, conversation_id, max_output_tokens, phi
        self._heard = heard
        self._place: Dict = {"response_id": self.id, "item_id": self.item_id}
        self._previous: str | None = None
        self._failure: ProactiveError | None = None

    def opened(self, opened: Opened, previous: str | None) -> Sequence[ServerEvent]:
        """The slot is there: the response, its item behind `previous`, and the item's only part."""
        self._previous = previous
        item = self._item("in_progress")
        own = {"model": opened.model, "head": opened.head, "threshold": opened.threshold}
        return [
            ResponseEvent(type="response.created", response=self._response("in_progress", own)),
            OutputItemEvent(type="response.output_item.added", response_id=self.id, item=item),
            ItemEvent(type="conversation.item.added", previous_item_id=previous, item=item),
            PartEvent(type="response.content_part.added", part={"type": "text", "text": ""}, **self._place),
        ]

    def on(self, event: Event) -> Sequence[ServerEvent]:
        """What an event of the session is told as."""
        match event:
            case Write() if self._phi:
                own = {"phi": event.phi, "index": event.index, "count": event.count}
                return [TextDeltaWithPhi(delta=event.text, proactivellm=own, **self._place)]
            case Write():
                return [TextDelta(delta=event.text, **self._place)]
            case Read() if self._phi:
                return [ReadEvent(response_id=self.id, phi=event.phi)]
            case Decision():
                return [self._decision(event)]
            case Failure():
                self._failure = event.error
            case Done():
                return self._done(event)
        return []

    def _decision(self, decision: Decision) -> ServerEvent:
        score = None if decision.score is None or isinf(decision.score) else decision.score
        return DecisionEvent(
            response_id=self.id,
            score=score,
            threshold=decision.threshold,
            action=decision.action,
            phi=decision.phi,
            index=decision.index,
        )

    def _done(self, done: Done) -> Sequence[ServerEvent]:
        status = STATUS[done.reason]
        part = {"type": "text", "text": done.text}
        item = self._item("completed" if status == "completed" else "incomplete", done.text)
        own = {"reason": done.reason, "rco": done.rco, "ail": done.ail, "units": done.usage.source_units, "probes": done.usage.probes}
        response = self._response(status, own) | {
            "status_details": {"type": status, "reason": _reason(done), "error": self._error(done)},
            "output": [item],
            "usage": _usage(done, heard=self._heard),
        }
        return [
            TextDone(text=done.text, **self._place),
            PartEvent(type="response.content_part.done", part=part, **self._place),
            ItemEvent(type="conversation.item.done", previous_item_id=self._previous, item=item),
            OutputItemEvent(type="response.output_item.done", response_id=self.id, item=item),
            ResponseEvent(type="response.done", response=response),
        ]

    def _error(self, done: Done) -> Dict | None:
        if done.reason == "context":
            code, message = TOO_LONG
            return {"type": "invalid_request_error", "code": code, "message": message}
        return None if self._failure is None else {name: value for name, value in told(self._failure).items() if name != "param"}

    def _item(self, status: str, text: str | None = None) -> Dict:
        content = [] if text is None else [{"type": "output_text", "text": text}]
        item = {"id": self.item_id, "object": "realtime.item", "type": "message", "status": status}
        return {**item, "role": "assistant", "content": content}

    def _response(self, status: str, own: Dict) -> Dict:
        response: Dict = {
            "object": "realtime.response",
            "id": self.id,
            "status": status,
            "status_details": None,
            "output": [],
            "conversation_id": self._conversation_id,
            "output_modalities": ["text"],
            "max_output_tokens": self._most,
            "usage": None,
            "metadata": self._metadata,
        }
        return {**response, "proactivellm": own} if self._phi else response


def _reason(done: Done) -> str | None:
    return {"cancelled": "client_cancelled", "length": "max_output_tokens"}.get(done.reason)


def _usage(done: Done, *, heard: bool) -> Dict:
    read, written = done.usage.prompt_tokens + done.usage.source_tokens, done.usage.target_tokens
    sound = done.usage.source_tokens if heard else 0
    return {
        "total_tokens": read + written,
        "input_tokens": read,
        "output_tokens": written,
        "input_token_details": {"text_tokens": read - sound, "audio_tokens": sound, "cached_tokens": 0},
        "output_token_details": {"text_tokens": written, "audio_tokens": 0},
    }
