"""`POST /v1/transcribe`: the text of a stream of the same samples; whatever the file or the client, the slot is free behind it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from engine.actions import AppendAudio, End
from engine.request import Request
from tests import tiny
from tests.server.hearing import LENGTH, SLOTS, hearing, neighbour, sound_file, texts
from tests.server.live import Event, Live, memory, wait_until
from tests.server.test_sound_file import damaged

QUERY = {"task": "listen", "threshold": "0.33", "silence_gate": "false"}


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with hearing(max_file_bytes=1 << 20, max_audio_seconds=8.0) as server:
        wait_until(lambda: server.worker.ready)
        yield server


def free(live: Live) -> None:
    wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS)


def url(live: Live) -> str:
    return f"http://127.0.0.1:{live.port}/v1/transcribe"


def post(live: Live, data: bytes, **query: str) -> httpx.Response:
    return httpx.post(url(live), content=data, params={**QUERY, **query}, timeout=60)


def events(response: httpx.Response) -> list[Event]:
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in response.text.strip().split("\n\n"):
        kind, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert kind == f"event: {event['type']}"
        found.append(event)
    assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
    return found


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_file_gives_what_its_samples_give(live: Live, kind: str) -> None:
    found = events(post(live, sound_file(kind)))
    expected = tiny.run(tiny.hearing_engine(), Request("listen", threshold=0.33, audio=tiny.AUDIO), [AppendAudio(tiny.sound(2.5)), End()])
    assert (found[0]["type"], found[0]["unit"]) == ("session.started", "ms")
    assert found[-1]["text"] == expected[-1].text == texts(found) != ""  # type: ignore[union-attr]
    assert found[-1]["usage"]["source_units"] == 2500
    free(live)


def test_silence_gives_nothing_behind_the_gate(live: Live) -> None:
    silence = sound_file()[:44] + bytes(80_000)
    done = events(httpx.post(url(live), content=silence, params={"task": "listen"}, timeout=60))[-1]
    assert (done["text"], done["reason"], done["usage"]["probes"]) == ("", "end", 0)


@pytest.mark.parametrize(
    ("data", "query", "status", "code", "param"),
    [
        (b"", {}, 400, "invalid_value", "file"),
        (b"no sound at all", {}, 400, "invalid_value", "file"),
        (sound_file("FLAC")[:30], {}, 400, "invalid_value", "file"),
        (sound_file(rate=96_000), {}, 400, "invalid_value", "file"),
        (sound_file(seconds=9), {}, 413, "source_too_long", None),
        (bytes((1 << 20) + 1), {}, 413, "too_large", None),
        (sound_file(), {"task": "dance"}, 400, "unknown_task", "task"),
        (sound_file(), {"tier": "low"}, 400, "invalid_value", "tier"),
        (sound_file(), {"tempo": "fast"}, 400, "invalid_value", "tempo"),
        (sound_file(), {"threshold": "much"}, 400, "invalid_value", "threshold"),
        (sound_file(), {"inputs": "["}, 400, "invalid_value", "inputs"),
        (sound_file(), {"max_output_tokens": "0"}, 400, "invalid_value", "max_output_tokens"),
    ],
)
def test_what_cannot_be_transcribed_is_told_with_a_status(
    live: Live, data: bytes, query: dict[str, str], status: int, code: str, param: str | None
) -> None:
    response = post(live, data, **query)
    told: dict[str, Any] = response.json()
    assert (response.status_code, told["code"]) == (status, code)
    if code != "invalid_value" or param != "tier":  # both were given: which of them is named does not matter
        assert told["param"] == param
    free(live)


@pytest.mark.parametrize("data", [sound_file("FLAC")[:-20_000], damaged(sound_file("FLAC"))], ids=["cut off", "damaged"])
def test_a_broken_file_ends_with_an_error_and_disturbs_nobody(live: Live, data: bytes) -> None:
    async def act() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            response = await client.post(url(live), content=data, params=QUERY)
        if response.status_code == 200:
            assert events(response)[-1]["type"] == "error"
        else:
            assert response.json()["param"] == "file"

    quiet = asyncio.run(neighbour(live))
    assert asyncio.run(neighbour(live, act)) == quiet
    free(live)


def test_samples_that_are_not_finite_end_with_the_engines_error(live: Live) -> None:
    wav = bytearray(sound_file(subtype="FLOAT"))
    wav[-400:-396] = b"\x00\x00\xc0\x7f"
    *found, done = events(post(live, bytes(wav)))
    assert (done["type"], done["reason"]) == ("done", "error")
    # Text that was held back may come behind it.
    assert ["finite" in event["message"] for event in found if event["type"] == "error"] == [True]
    free(live)


def test_a_client_that_leaves_frees_the_slot(live: Live) -> None:
    with httpx.stream("POST", url(live), content=sound_file(seconds=7), params=QUERY, timeout=60) as response:
        next(response.iter_raw())
    free(live)


def test_without_a_free_slot_the_answer_is_503(live: Live) -> None:
    async def act() -> None:
        async with httpx.AsyncClient(timeout=60) as client:
            engine = live.worker.engines["hearing"]
            wait_until(lambda: engine.free_slots == 0)
            response = await client.post(url(live), content=sound_file(), params=QUERY)
            assert (response.status_code, response.json()["code"]) == (503, "no_capacity")
            assert int(response.headers["retry-after"]) >= 1

    async def crowd() -> None:
        async with asyncio.TaskGroup() as group:
            done = asyncio.Event()

            async def hold() -> None:
                await neighbour(live, done.wait)

            for _ in range(SLOTS):
                group.create_task(hold())
            while live.worker.engines["hearing"].free_slots:
                await asyncio.sleep(0.01)
            await act()
            done.set()

    asyncio.run(crowd())
    free(live)


def test_a_model_without_ears_refuses() -> None:
    with Live(kv_memory=memory(2, LENGTH), slot_length=LENGTH) as live:
        wait_until(lambda: live.worker.ready)
        response = post(live, sound_file(), task="echo")
        assert (response.status_code, response.json()["param"]) == (400, "modality")
        wait_until(lambda: live.engine.free_slots == 2)
