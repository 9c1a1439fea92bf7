"""Audio over a real socket: the same engine, protocol and limits; what is no audio costs its own session, and no neighbour notices."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from websockets.asyncio.client import ClientConnection

from engine.actions import AppendAudio, End
from engine.request import Request
from tests import tiny
from tests.server.hearing import FORMAT, PCM, SLOTS, START, hearing, neighbour, pieces, reads_text, texts
from tests.server.live import END, Event, Live, append, receive, send, until, wait_until
from tests.server.test_bad_input import closed_with


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with hearing() as server:
        wait_until(lambda: server.worker.ready)
        yield server


@pytest.fixture(scope="module")
def alone(live: Live) -> list[Event]:
    events = asyncio.run(neighbour(live))
    assert sum(event["type"] == "write" for event in events) > 3
    return events


def check(live: Live, alone: list[Event], act: Any) -> None:
    assert asyncio.run(neighbour(live, lambda: act(live))) == alone
    wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS)


async def begin(ws: ClientConnection, **audio: Any) -> Event:
    await send(ws, {**START, "audio": {**FORMAT, **audio}})
    return await receive(ws)


def test_audio_gets_what_the_engine_says_and_every_frame_its_answer(live: Live, alone: list[Event]) -> None:
    messages = [*map(AppendAudio, pieces()), End()]
    expected = tiny.run(tiny.hearing_engine(), Request("listen", threshold=0.33, audio=tiny.AUDIO), messages)
    assert alone[-1]["text"] == expected[-1].text == texts(alone)  # type: ignore[union-attr]
    reads = [event["n"] for event in alone if event["type"] == "read"]
    assert reads == list(range(1, len(pieces()) + 1))
    phis = [event["phi"] for event in alone if "phi" in event]
    assert phis == sorted(phis)
    assert phis[-1] == 2500
    assert alone[-1]["usage"]["source_units"] == 2500
    assert 0 < alone[-1]["rco"] <= 1


def test_the_session_says_its_unit_and_how_long_it_may_last(live: Live) -> None:
    async def act() -> None:
        async with live.connect() as ws:
            started = await begin(ws)
            assert (started["unit"], started["limits"]["max_source_seconds"]) == ("ms", 3600)

    asyncio.run(act())


def test_a_hearing_model_reads_text_as_well(live: Live) -> None:
    asyncio.run(reads_text(live, "listen"))


@pytest.mark.parametrize(
    ("frame", "says", "form"),
    [
        (PCM[:3_201], "multiple of 2 bytes", {}),
        (PCM[:3_202], "multiple of 4 bytes", {"channels": 2}),
        (np.array([0.1, np.nan], dtype=np.float32).tobytes(), "finite", {"format": "float32"}),
        (np.array([0.1, np.inf], dtype=np.float32).tobytes(), "finite", {"format": "float32"}),
        (PCM[:3_200] + b"RIFF\x24\x08\x00\x00WAVEfmt ", "header of a WAV", {}),
        (b"fLaC\x00\x00\x00\x22" + bytes(40), "header of a FLAC", {}),
        (b"OggS\x00\x02" + bytes(40), "header of a Ogg", {}),
    ],
    ids=["odd", "half a frame", "nan", "infinity", "wav", "flac", "ogg"],
)
def test_a_frame_that_holds_no_samples_ends_its_session_and_the_connection_stays(
    live: Live, alone: list[Event], frame: bytes, says: str, form: dict[str, Any]
) -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            await begin(ws, **form)
            await ws.send(bytes(6_400))
            await ws.send(frame)
            *_, error, done = await until(ws, "done")
            assert (error["type"], error["code"], error["fatal"], error["n"]) == ("error", "invalid_value", False, 2)
            assert says in error["message"]
            assert done["reason"] == "error"
            await begin(ws)  # the slot is free, and the socket good for another session
            await send(ws, {"type": "session.cancel"})
            assert (await until(ws, "done"))[-1]["reason"] == "cancelled"

    check(live, alone, act)


@pytest.mark.parametrize(
    ("start", "param"),
    [
        ({"audio": {**FORMAT, "format": "pcm8"}}, "audio.format"),
        ({"audio": {**FORMAT, "rate": 4_000}}, "audio.rate"),
        ({"audio": {**FORMAT, "rate": 96_000}}, "audio.rate"),
        ({"audio": {**FORMAT, "rate": 16_000.5}}, "audio.rate"),
        ({"audio": {**FORMAT, "channels": 9}}, "audio.channels"),
        ({"audio": {"rate": 16_000}}, "audio.format"),
        ({"audio": None}, None),
        ({"modality": "text"}, None),
        ({"modality": "video"}, "modality"),
        ({"rollover": True}, "rollover"),
    ],
)
def test_a_start_that_does_not_fit_is_refused_and_another_may_follow(live: Live, start: dict[str, Any], param: str | None) -> None:
    async def act() -> None:
        async with live.connect() as ws:
            await send(ws, {**START, **start})
            error = await receive(ws)
            assert (error["type"], error["fatal"], error["param"]) == ("error", False, param)
            assert error["code"] in ("bad_message", "invalid_value")
            assert (await begin(ws))["type"] == "session.started"

    asyncio.run(act())


def test_text_on_an_audio_session_closes_with_4400(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            await begin(ws)
            await send(ws, append("dog "))
            error = await closed_with(ws, 4400, error="bad_message")
            assert error is not None
            assert "expected binary frames" in error["message"]

    check(live, alone, act)


def test_audio_on_a_text_session_closes_with_4400(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            await send(ws, {"type": "session.start", "task": "listen"})
            await ws.send(PCM[:640])
            await closed_with(ws, 4400, error="bad_message")

    check(live, alone, act)


def test_audio_before_a_session_and_behind_its_end_is_bad_state(live: Live) -> None:
    async def act() -> None:
        async with live.connect() as ws:
            await ws.send(PCM[:640])
            assert (await receive(ws))["code"] == "bad_state"
            await begin(ws)
            await send(ws, END)
            await ws.send(PCM[:640])
            events = await until(ws, "done")
            assert [event["code"] for event in events if event["type"] == "error"] in (["bad_state"], [])
            await ws.send(PCM[:640])  # too late to matter
            await send(ws, {"type": "ping", "id": 1})
            assert (await until(ws, "pong"))[-1]["id"] == 1

    asyncio.run(act())


def test_a_frame_over_the_limit_closes_with_4413(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            await begin(ws)
            await ws.send(bytes(live.config.max_message_bytes + 2))
            await closed_with(ws, 4413, error="too_large")

    check(live, alone, act)


def test_a_model_without_ears_refuses_audio() -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            await send(ws, {**START, "task": "echo"})
            error = await receive(ws)
            assert (error["code"], error["param"], error["fatal"]) == ("invalid_value", "modality", False)

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_more_audio_than_a_session_may_have_closes_with_4413_whatever_its_bytes() -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            started = await begin(ws, format="float32", rate=8_000, channels=2)
            assert started["limits"]["max_source_seconds"] == 1.0
            for _ in range(11):
                await ws.send(bytes(8 * 800))
            await closed_with(ws, 4413, error="source_too_long")

    with hearing(max_audio_seconds=1.0, max_source_bytes=64) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
        wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS)


def test_silence_gives_no_text_unless_the_gate_is_off(live: Live) -> None:
    async def act() -> None:
        for gate in (True, False):
            async with live.connect() as ws:
                await begin(ws, silence_gate=gate)
                for piece in pieces(bytes(2 * 32_000), 12_800):
                    await ws.send(piece)
                await send(ws, END)
                done = (await until(ws, "done"))[-1]
                assert (done["text"] == "", done["usage"]["probes"] == 0) == (gate, gate)

    asyncio.run(act())


def test_the_browsers_frames_are_taken(live: Live) -> None:
    """The web page's worklet sends pcm16 in 100 ms at the context's rate, 16 kHz or, in Firefox, the device's own."""

    async def act(rate: int) -> None:
        async with live.connect() as ws:
            started = {**START, "audio": {"format": "pcm16", "rate": rate, "channels": 1}}
            await send(ws, started)
            assert (await receive(ws))["unit"] == "ms"
            samples = torch.frombuffer(bytearray(tiny.sound(1.0)), dtype=torch.int16)
            for piece in pieces(samples.numpy().tobytes(), 2 * round(0.1 * rate)):
                await ws.send(piece)
            await send(ws, END)
            assert (await until(ws, "done"))[-1]["reason"] in ("end", "length")

    for rate in (16_000, 44_100, 48_000):
        asyncio.run(act(rate))


def test_frames_are_binary_on_the_wire_and_json_is_not_audio(live: Live) -> None:
    async def act() -> None:
        async with live.connect() as ws:
            await begin(ws)
            await ws.send(json.dumps({"type": "ping", "id": "x"}).encode())  # a binary frame is samples, whatever it looks like
            assert (await until(ws, "done"))[-1]["reason"] == "error"

    asyncio.run(act())
