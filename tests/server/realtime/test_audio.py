"""Audio on `/v1/realtime`, as far as the seam: a stand-in for the audio path hears PCM whose bytes are text."""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from engine.actions import Append, Message
from engine.engine import Engine
from engine.request import Request
from server.realtime import audio
from tests.server.live import Event, Live, memory, session, wait_until
from tests.server.realtime.talk import CLOSED, OPENED, OWN, Talk, free, kinds, talk

TRANSCRIPT = "conversation.item.input_audio_transcription"
HEARD = ["input_audio_buffer.committed", "conversation.item.added", "conversation.item.done"]


class Spoken:
    """Hears the text that the bytes are."""

    def takes(self, engine: Engine) -> bool:
        return engine.checkpoint.name == "tiny"

    def request(self, request: Request) -> Request:
        return request

    def piece(self, pcm: bytes) -> Message:
        return Append(pcm.decode())


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audio, "PATH", Spoken())


@asynccontextmanager
async def transcription(live: Live, **own: object) -> AsyncIterator[Talk]:
    async with talk(live, own=None, intent="transcription") as t:
        update = {"type": "transcription", "audio": {"input": {"transcription": {"model": "tiny"}}}, "proactivellm": {**OWN, **own}}
        shown = (await t.update(**update))["session"]
        assert (shown["object"], shown["type"]) == ("realtime.transcription_session", "transcription")
        assert shown["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
        yield t


async def say(t: Talk, text: str) -> None:
    """The text, with a space more where its bytes are odd."""
    text += " " * (len(text) % 2)
    await t.connection.input_audio_buffer.append(audio=base64.b64encode(text.encode()).decode())


def transcript(events: list[Event]) -> str:
    return "".join(event["delta"] for event in events if event["type"] == f"{TRANSCRIPT}.delta")


def test_a_transcript_begins_before_the_commit_and_ends_behind_it(live: Live) -> None:
    async def act() -> None:
        async with transcription(live) as t:
            for word in ("The ", "cats ", "were ", "down "):
                await say(t, word)
            early = await t.until(f"{TRANSCRIPT}.delta")
            await t.connection.input_audio_buffer.commit()
            events = early + await t.until(f"{TRANSCRIPT}.completed")
            assert [kind for kind in kinds(events) if not kind.startswith(TRANSCRIPT)] == HEARD
            assert len({event["item_id"] for event in events if "item_id" in event}) == 1
            done = events[-1]
            assert done["transcript"] == transcript(events)
            assert done["usage"]["type"] == "tokens"
            assert done["usage"]["output_tokens"] == 12
            item = next(event["item"] for event in events if event["type"] == "conversation.item.done")
            assert (item["role"], item["content"]) == ("user", [{"type": "input_audio", "transcript": None}])

    asyncio.run(act())
    wait_until(lambda: free(live))


def test_utterances_are_transcribed_in_sequence_whatever_was_sent_meanwhile(live: Live) -> None:
    async def act() -> None:
        async with transcription(live) as t:
            for words in ("The dog ", "The cats sang ", "birds "):
                await say(t, words)
                await t.connection.input_audio_buffer.commit()
            events = [event for _ in range(3) for event in await t.until(f"{TRANSCRIPT}.completed")]
        done = [event for event in events if event["type"] == f"{TRANSCRIPT}.completed"]
        assert len({event["item_id"] for event in done}) == 3
        assert transcript(events) == "".join(event["transcript"] for event in done)
        committed = [event for event in events if event["type"] == "input_audio_buffer.committed"]
        assert [event["previous_item_id"] for event in committed] == [None, *(event["item_id"] for event in committed[:-1])]

    asyncio.run(act())


def test_an_early_end_waits_for_the_commit(live: Live) -> None:
    async def act() -> None:
        async with transcription(live, threshold=-1.0) as t:
            await say(t, "The ")
            wait_until(lambda: free(live) and live.app_metric("proactivellm_target_tokens_total", {"model": "tiny"}) > 0)
            await say(t, "dog ")
            await t.connection.input_audio_buffer.commit()
            events = await t.until(f"{TRANSCRIPT}.completed")
            assert [kind for kind in kinds(events) if not kind.endswith(".delta")] == [*HEARD, f"{TRANSCRIPT}.completed"]
            assert events[-1]["transcript"] == transcript(events)
            await say(t, "The ")
            await t.connection.input_audio_buffer.commit()
            assert (await t.until(f"{TRANSCRIPT}.completed"))[-1]["transcript"]

    asyncio.run(act())


def test_clear_forgets_the_utterance(live: Live) -> None:
    async def act() -> None:
        async with transcription(live) as t:
            await say(t, "The dog ")
            await t.connection.input_audio_buffer.clear()
            await t.until("input_audio_buffer.cleared")
            wait_until(lambda: free(live))
            await t.connection.input_audio_buffer.commit()
            assert (await t.receive())["error"]["code"] == "input_audio_buffer_commit_empty"
            await say(t, "The cats ")
            await t.connection.input_audio_buffer.commit()
            assert (await t.until(f"{TRANSCRIPT}.completed"))[-1]["transcript"]

    asyncio.run(act())


def test_a_cancel_ends_no_utterance(live: Live) -> None:
    """No response is in progress: the transcript goes on to its end, and its slot is free behind it."""

    async def act() -> None:
        async with transcription(live) as t:
            await say(t, "The dog ")
            await t.connection.response.cancel()
            assert (await t.until("error"))[-1]["error"]["code"] == "response_cancel_not_active"
            await say(t, "sat ")
            await t.connection.input_audio_buffer.commit()
            assert (await t.until(f"{TRANSCRIPT}.completed"))[-1]["transcript"]
            await say(t, "The dog ")
            await t.connection.response.cancel()
            await t.connection.input_audio_buffer.commit()

    asyncio.run(act())
    wait_until(lambda: free(live))


def test_a_transcript_without_a_slot_fails_and_its_utterance_is_still_committed() -> None:
    async def act(live: Live) -> None:
        async with transcription(live) as t:
            async with session(live):
                await say(t, "The dog ")
                failed = await t.receive()
                assert (failed["type"], failed["error"]["code"]) == (f"{TRANSCRIPT}.failed", "no_capacity")
            await say(t, "sat ")
            await t.connection.input_audio_buffer.commit()
            assert (await t.receive())["item_id"] == failed["item_id"]
            wait_until(lambda: free(live))
            await say(t, "The cats ")
            await t.connection.input_audio_buffer.commit()
            assert (await t.until(f"{TRANSCRIPT}.completed"))[-1]["item_id"] != failed["item_id"]

    with Live(kv_memory=memory(1)) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_a_response_to_audio(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await say(t, "The dog ")
            await t.connection.response.create()
            await t.until("response.content_part.added")
            await say(t, "sat ")
            await t.connection.input_audio_buffer.clear(event_id="late")
            assert (await t.until("error"))[-1]["error"]["event_id"] == "late"
            await t.item("birds ")
            assert (await t.until("error"))[-1]["error"]["code"] == "bad_state"
            await t.connection.input_audio_buffer.commit()
            events = await t.until("response.done")
            assert [kind for kind in kinds(events) if kind in (*HEARD[:1], *CLOSED)] == [
                HEARD[0],
                "conversation.item.done",
                *CLOSED,
            ]
            await say(t, "birds ")  # committed before response.create, as with OpenAI
            await t.connection.input_audio_buffer.commit()
            assert kinds(await t.until("conversation.item.done")) == HEARD
            assert kinds(await t.respond())[:4] == OPENED

    asyncio.run(act())


def test_the_two_types_of_session_keep_to_their_events(live: Live) -> None:
    async def act() -> None:
        async with transcription(live) as t:
            await t.connection.response.create()
            assert (await t.receive())["error"]["code"] == "bad_state"
            await t.item("The dog ")
            assert (await t.receive())["error"]["code"] == "bad_state"
            await say(t, "The dog ")
            assert (await t.update())["type"] == "error"
            await t.connection.input_audio_buffer.clear()
            await t.until("input_audio_buffer.cleared")
            assert (await t.update())["session"]["proactivellm"] == OWN  # ours stays, theirs begins anew
            await t.item("The dog ")
            assert (await t.respond())[-1]["response"]["output"]

    asyncio.run(act())
