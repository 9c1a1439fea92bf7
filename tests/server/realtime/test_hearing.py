"""Audio on `/v1/realtime` with a model that hears: the engine's own transcript of 24 kHz PCM, and a text model's refusal."""

import asyncio
import base64
from collections.abc import Iterator

import pytest

from backbones.audio_pcm import AudioFormat
from engine.actions import AppendAudio, End
from engine.request import Request
from tests import tiny
from tests.backbones.audio import noise
from tests.server.hearing import SLOTS, hearing
from tests.server.live import Live, wait_until
from tests.server.realtime.talk import talk
from tests.server.realtime.test_audio import TRANSCRIPT, transcript

PCM = tiny.pcm16(noise(24_000 * 2, seed=3) * 2)
OWN = {"task": "listen", "threshold": 0.33}


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with hearing() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def expected(pcm: bytes) -> str:
    request = Request("listen", threshold=0.33, audio=AudioFormat("pcm16", 24_000), silence_gate=True)
    text: str = tiny.run(tiny.hearing_engine(), request, [AppendAudio(pcm), End()])[-1].text  # type: ignore[union-attr]
    return text


def test_utterances_are_transcribed_one_after_the_other(live: Live) -> None:
    async def act() -> None:
        async with talk(live, own=None, model="hearing", intent="transcription") as t:
            update = {"type": "transcription", "audio": {"input": {"transcription": {"model": "hearing"}}}, "proactivellm": OWN}
            assert (await t.update(**update))["type"] == "session.updated"
            for pcm in (PCM, bytes(48_000)):
                for at in range(0, len(pcm), 4_800):
                    await t.connection.input_audio_buffer.append(audio=base64.b64encode(pcm[at : at + 4_800]).decode())
                await t.connection.input_audio_buffer.commit()
                events = await t.until(f"{TRANSCRIPT}.completed")
                assert events[-1]["transcript"] == transcript(events) == expected(pcm)
                assert (events[-1]["transcript"] == "") == (pcm == bytes(48_000))
                assert events[-1]["usage"]["input_token_details"]["audio_tokens"] == len(pcm) // 1_920

    asyncio.run(act())
    wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS)


def test_a_response_to_what_was_heard(live: Live) -> None:
    async def act() -> None:
        async with talk(live, own=OWN, model="hearing") as t:
            await t.connection.input_audio_buffer.append(audio=base64.b64encode(PCM[:48_000]).decode())
            await t.connection.input_audio_buffer.commit()
            await t.until("conversation.item.done")
            done = (await t.respond())[-1]["response"]
            assert done["output"][0]["content"][0]["text"] == expected(PCM[:48_000]) != ""

    asyncio.run(act())


def test_a_response_that_was_asked_for_before_the_first_sound(live: Live) -> None:
    async def act() -> None:
        async with talk(live, own=OWN, model="hearing") as t:
            await t.connection.response.create()
            await t.until("response.content_part.added")
            for at in range(0, 48_000, 4_800):
                await t.connection.input_audio_buffer.append(audio=base64.b64encode(PCM[at : at + 4_800]).decode())
            await t.connection.input_audio_buffer.commit()
            response = (await t.until("response.done"))[-1]["response"]
            assert response["output"][0]["content"][0]["text"] == expected(PCM[:48_000])
            details = response["usage"]["input_token_details"]
            assert details["audio_tokens"] == 25
            assert sum(details.values()) == response["usage"]["input_tokens"]

    asyncio.run(act())
    wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS)


def test_a_model_that_reads_text_only_refuses_audio() -> None:
    async def act(live: Live) -> None:
        async with talk(live) as t:
            await t.connection.input_audio_buffer.append(audio=base64.b64encode(PCM[:4_800]).decode())
            assert (await t.receive())["error"]["code"] == "audio_not_supported"

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
