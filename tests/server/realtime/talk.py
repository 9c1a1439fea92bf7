"""The official openai package against `/v1/realtime`, every event checked against the package's own types. Knows no test."""

import asyncio
import json
import typing
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeResponse, RealtimeServerEvent, RealtimeSessionCreateResponse
from openai.types.realtime.realtime_transcription_session_create_response import RealtimeTranscriptionSessionCreateResponse

from tests.server.live import Event, Live

OWN = {"task": "echo", "threshold": 0.4}
OPENED = ["response.created", "response.output_item.added", "conversation.item.added", "response.content_part.added"]
CLOSED = [
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
USER = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "dog"}]}
SESSIONS: dict[str, Any] = {"realtime": RealtimeSessionCreateResponse, "transcription": RealtimeTranscriptionSessionCreateResponse}
MEMBERS = typing.get_args(typing.get_args(RealtimeServerEvent)[0])
CLASSES = {typing.get_args(kind.model_fields["type"].annotation)[0]: kind for kind in MEMBERS}


class Talk:
    """A connection of the official client's. Every event that comes is checked against the client's own types."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.ids: set[str] = set()

    async def receive(self) -> Event:
        data = await asyncio.wait_for(self.connection.recv_bytes(), 20)
        event: Event = json.loads(data)
        assert self.connection.parse_event(data).type == event["type"]
        assert event["event_id"].startswith("event_")
        assert event["event_id"] not in self.ids
        self.ids.add(event["event_id"])
        if not event["type"].startswith("proactivellm."):
            check(event)
        return event

    async def until(self, *types: str) -> list[Event]:
        """Events up to the first of one of the types; none before it may be an error."""
        events = [await self.receive()]
        while events[-1]["type"] not in types:
            assert events[-1]["type"] != "error", events[-1]
            events.append(await self.receive())
        return events

    async def update(self, event_id: str = "u", **fields: Any) -> Event:
        await self.connection.session.update(session={"type": "realtime", **fields}, event_id=event_id)  # type: ignore[typeddict-item]
        return (await self.until("session.updated", "error"))[-1]

    async def item(self, text: str, *, more: bool = False, **fields: Any) -> None:
        item: Any = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **fields}
        await self.connection.conversation.item.create(item={**item, "status": "in_progress"} if more else item)

    async def respond(self, **params: Any) -> list[Event]:
        """From `response.create` to `response.done`."""
        await self.connection.response.create(response=params)  # type: ignore[arg-type]
        return await self.until("response.done")


def check(event: Event) -> None:
    """As the client's types have it: every required field, of the right type, and none that they do not know but our own."""
    kind = CLASSES[event["type"]]
    kind.model_validate(event)
    known(event, kind)
    if "response" in event:
        known(event["response"], RealtimeResponse)
    if "session" in event:
        kind = SESSIONS[event["session"]["type"]]
        kind.model_validate(event["session"])
        known(event["session"], kind)


def known(value: Event, kind: Any) -> None:
    assert set(value) - {"proactivellm"} <= set(kind.model_fields), kind


@cache
def client(port: int, key: str) -> AsyncOpenAI:
    """Made once a server: it reads the system's certificates, which takes longer than a test."""
    return AsyncOpenAI(api_key=key, base_url=f"http://127.0.0.1:{port}/v1")


@asynccontextmanager
async def talk(live: Live, *, key: str = "none", own: Any = OWN, model: str = "tiny", **query: str) -> AsyncIterator[Talk]:
    """Connected, greeted, and set up with `own`, if that is given."""
    async with client(live.port, key).realtime.connect(model=model, extra_query=query) as connection:
        talking = Talk(connection)
        assert (await talking.receive())["type"] == "session.created"
        if own is not None:
            assert (await talking.update(proactivellm=own))["type"] == "session.updated"
        yield talking


def kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


def free(live: Live) -> bool:
    return live.engine.free_slots == live.engine.capacity.slots
