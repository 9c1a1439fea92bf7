"""A model that another one hears for, over a real socket: sound in, answers out, and both models' slots are free behind every end."""

import asyncio
import json
from collections.abc import Iterator

import pytest

from engine.actions import AppendAudio, End
from engine.request import Request
from tests import tiny
from tests.server.hearing import FORMAT, pieces, reads_text, texts
from tests.server.live import END, Event, Live, receive, send, until, wait_until
from tests.server.test_app import get

SLOTS, LENGTH = 2, 512
THRESHOLD = 0.355
START: Event = {"type": "session.start", "task": "echo", "threshold": THRESHOLD, "modality": "audio", "audio": FORMAT}
PCM = tiny.sound(4.5)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live(lambda *_: tiny.listening(), kv_memory=tiny.memory(tiny.listening(), SLOTS, LENGTH), slot_length=LENGTH) as server:
        wait_until(lambda: server.worker.ready)
        yield server


async def spoken(live: Live) -> list[Event]:
    async with live.connect() as ws:
        await send(ws, START)
        assert (await receive(ws))["unit"] == "ms"
        for piece in pieces(PCM):
            await ws.send(piece)
        await send(ws, END)
        return await until(ws, "done")


def check_free(live: Live) -> None:
    engine = live.worker.engines["listening"]
    listener = engine.listener
    assert listener is not None
    wait_until(lambda: (engine.free_slots, listener.free_slots) == (SLOTS, SLOTS))


def test_sound_gets_what_the_engine_says_and_every_frame_its_answer(live: Live) -> None:
    messages = [*map(AppendAudio, pieces(PCM)), End()]
    expected = tiny.run(tiny.listening_engine(), Request("echo", threshold=THRESHOLD, audio=tiny.AUDIO), messages)[-1]
    events = asyncio.run(spoken(live))
    assert events[-1]["text"] == expected.text == texts(events)  # type: ignore[union-attr]
    assert texts(events)
    assert [event["n"] for event in events if event["type"] == "read"] == list(range(1, len(pieces(PCM)) + 1))
    assert events[-1]["usage"]["source_units"] == 4500
    check_free(live)


def test_it_reads_text_as_well_and_says_so(live: Live) -> None:
    asyncio.run(reads_text(live, "echo"))
    assert json.loads(get(live, "/v1/models")[1])["data"][0]["modalities"] == ["text", "audio"]


@pytest.mark.parametrize("how", ["half a sample", "gone"])
def test_a_broken_session_frees_both_slots_and_its_neighbour_goes_on(live: Live, how: str) -> None:
    async def disturb() -> None:
        async with live.connect() as ws:
            await send(ws, START)
            await receive(ws)
            await ws.send(PCM[:20_000])
            if how == "gone":
                return
            await ws.send(b"odd")
            events = await until(ws, "done")
            assert [event["code"] for event in events if event["type"] == "error"] == ["invalid_value"]
            assert events[-1]["reason"] == "error"

    async def both() -> list[Event]:
        return (await asyncio.gather(spoken(live), disturb()))[0]

    alone = asyncio.run(spoken(live))
    assert [_timeless(event) for event in asyncio.run(both())] == [_timeless(event) for event in alone]
    check_free(live)


def _timeless(event: Event) -> Event:
    return {key: value for key, value in event.items() if key != "session"}
