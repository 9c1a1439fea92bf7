"""Sound that outlasts its slot, over a real socket and as a file: the server says what the engine says, and no neighbour notices."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from websockets.asyncio.client import ClientConnection

from engine.actions import AppendAudio, Done, End
from engine.request import NO_LIMIT, Request
from tests import tiny
from tests.server.hearing import FORMAT, RATE, SLOTS, START, hearing, neighbour, pieces, sound_file, texts
from tests.server.live import END, Event, Live, receive, send, until, wait_until
from tests.server.test_transcribe import events, post

LENGTH = 140  # tokens of a slot: some 4 s of sound without a prompt
SECONDS = 8.0
PCM = tiny.sound(SECONDS)
LATE: Event = {**START, "task": "late", "threshold": 2.0}
QUERY = {"task": "late", "threshold": "2"}
NEVER = 999.0  # a threshold of wait-k that only a source end or a seam passes


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with hearing(LENGTH) as server:
        wait_until(lambda: server.worker.ready)
        yield server


@pytest.fixture(scope="module")
def alone(live: Live) -> list[Event]:
    found = asyncio.run(neighbour(live))
    assert sum(event["type"] == "write" for event in found) > 3
    return found


def check(live: Live, alone: list[Event], act: Callable[[], Awaitable[None]]) -> None:
    """A neighbour that hears says the same with `act` in its middle, and every slot is free behind them."""
    assert asyncio.run(neighbour(live, act)) == alone
    wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS)


def said(threshold: float = 2.0, *, rollover: bool = True) -> Done:
    """What the engine says to PCM."""
    asked = Request("late", threshold=threshold, audio=tiny.AUDIO, rollover=rollover)
    done = tiny.run(tiny.hearing_engine(length=LENGTH), asked, [*map(AppendAudio, pieces(PCM)), End()])[-1]
    assert isinstance(done, Done)
    return done


async def stream(ws: ClientConnection, **start: object) -> tuple[Event, list[Event]]:
    """A session that gets PCM: its start, and its events."""
    await send(ws, {**LATE, **start})
    started = await receive(ws)
    for piece in pieces(PCM):
        await ws.send(piece)
    await send(ws, END)
    return started, await until(ws, "done")


def test_a_stream_of_sound_goes_on_in_a_slot_that_is_used_again(live: Live, alone: list[Event]) -> None:
    ours = said()

    async def act() -> None:
        async with live.connect() as ws:
            started, found = await stream(ws, rollover=True)
        assert (started["unit"], started["limits"]["max_output_tokens"]) == ("ms", NO_LIMIT)
        assert [event["n"] for event in found if event["type"] == "read"] == list(range(1, len(pieces(PCM)) + 1))
        done = found[-1]
        assert (done["reason"], done["text"]) == (ours.reason, ours.text)
        assert done["text"] == texts(found)
        assert done["reason"] != "context"
        assert done["usage"]["source_tokens"] == ours.usage.source_tokens > LENGTH
        assert done["usage"]["source_units"] == 1000 * SECONDS
        writes = [event for event in found if event["type"] == "write"]
        assert [event["index"] for event in writes] == [sum(event["count"] for event in writes[:i]) for i in range(len(writes))]
        assert max(event["phi"] for event in writes) > 1000 * SECONDS / 2

    check(live, alone, act)


def test_without_rollover_the_slots_end_is_the_sessions_and_the_socket_stays(live: Live, alone: list[Event]) -> None:
    async def act() -> None:
        async with live.connect() as ws:
            _, found = await stream(ws, threshold=NEVER)
            assert (found[-1]["reason"], found[-1]["rco"]) == ("context", None)
            assert said(NEVER, rollover=False).reason == "context"
            # What was on its way is bad_state, and the socket is good for another session.
            await send(ws, {**START, "audio": FORMAT}, END)
            again = await until(ws, "done")
            assert {event["code"] for event in again if event["type"] == "error"} <= {"bad_state"}
            assert again[-1]["reason"] != "context"

    check(live, alone, act)


def test_a_task_that_must_not_is_refused(live: Live) -> None:
    async def act() -> None:
        async with live.connect() as ws:
            await send(ws, {**START, "rollover": True})
            error = await receive(ws)
            assert (error["code"], error["param"], error["fatal"]) == ("invalid_value", "rollover", False)

    asyncio.run(act())
    refused = post(live, sound_file(), rollover="true")
    assert (refused.status_code, refused.json()["param"]) == (400, "rollover")


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_recording_longer_than_a_slot_goes_through_one_session(live: Live, alone: list[Event], kind: str) -> None:
    file, ours = sound_file(kind, SECONDS), said()

    async def act() -> None:
        found = events(await asyncio.to_thread(post, live, file, **QUERY, rollover="true"))
        assert [event["type"] for event in found if event["type"] in ("session.started", "done")] == ["session.started", "done"]
        assert (found[-1]["text"], found[-1]["reason"]) == (ours.text, ours.reason)
        assert texts(found) == ours.text != ""
        assert found[-1]["usage"]["source_tokens"] == ours.usage.source_tokens > LENGTH

    check(live, alone, act)


def test_without_rollover_a_recording_ends_with_its_slot(live: Live, alone: list[Event]) -> None:
    file = sound_file("FLAC", SECONDS)

    async def act() -> None:
        done = events(await asyncio.to_thread(post, live, file, task="late", threshold=str(NEVER)))[-1]
        assert (done["type"], done["reason"], done["rco"]) == ("done", "context", None)
        assert done["usage"]["source_tokens"] < LENGTH

    check(live, alone, act)


def test_sound_is_forgotten_behind_a_seam_and_silence_gives_no_text_there(live: Live) -> None:
    """Half a minute of silence behind the gate is several slots long."""
    silence = bytes(2 * RATE * 30)

    async def act() -> Event:
        async with live.connect() as ws:
            await send(ws, {**LATE, "rollover": True, "audio": {**FORMAT, "silence_gate": True}})
            for piece in pieces(silence, 2 * RATE):
                await ws.send(piece)
            await send(ws, END)
            return (await until(ws, "done"))[-1]

    done = asyncio.run(act())
    assert (done["text"], done["reason"], done["usage"]["probes"]) == ("", "end", 0)
    assert done["usage"]["source_units"] == 30_000
