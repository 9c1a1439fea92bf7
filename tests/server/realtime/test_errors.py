"""What bad events get on `/v1/realtime`: an error with code, field and the event's id, and a connection that goes on."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.server.keyed import keyed
from tests.server.live import Live, receive, wait_until
from tests.server.realtime.talk import USER, Talk, free, talk


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


ITEM, UPDATE, CREATE = "conversation.item.create", "session.update", "response.create"
BAD: list[tuple[Any, str, str | None]] = [
    ("not json", "invalid_json", None),
    ("[1]", "invalid_json", None),
    ("[" * 5000, "invalid_json", None),
    ({}, "invalid_value", "type"),
    ({"type": "session.start"}, "invalid_value", "type"),
    ({"type": [1]}, "invalid_value", "type"),
    ({"type": "conversation.item.delete", "item_id": "x"}, "unsupported_event", "type"),
    ({"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1}, "unsupported_event", "type"),
    ({"type": "conversation.item.retrieve", "item_id": "x"}, "unsupported_event", "type"),
    ({"type": "output_audio_buffer.clear"}, "unsupported_event", "type"),
    ({"type": ITEM}, "missing_required_parameter", "item"),
    ({"type": ITEM, "item": {**USER, "role": "system"}}, "invalid_value", "item.role"),
    ({"type": ITEM, "item": {**USER, "type": "function_call"}}, "invalid_value", "item.type"),
    ({"type": ITEM, "item": {**USER, "content": [{"type": "input_text"}]}}, "missing_required_parameter", "item.content.0.text"),
    ({"type": ITEM, "item": {**USER, "content": [{"type": "input_image", "text": ""}]}}, "invalid_value", "item.content.0.type"),
    ({"type": ITEM, "item": USER, "previous_item_id": "item_no"}, "invalid_value", "previous_item_id"),
    ({"type": UPDATE, "session": {}}, "missing_required_parameter", "session.type"),
    ({"type": UPDATE, "session": {"type": "other"}}, "invalid_value", "session.type"),
    ({"type": CREATE, "response": {"conversation": "none"}}, "invalid_value", "response.conversation"),
    ({"type": CREATE, "response": {"input": []}}, "unknown_parameter", "response.input"),
    ({"type": CREATE, "response": {"proactivellm": {"max_lag": 0}}}, "invalid_value", "response.proactivellm.max_lag"),
    ({"type": CREATE, "response": {"proactivellm": {"task": "nonesuch"}}}, "unknown_task", "task"),
    ({"type": CREATE, "response": {"proactivellm": {"head": "nonesuch"}}}, "unknown_head", "head"),
    ({"type": CREATE, "response": {"proactivellm": {"threshold": None, "tier": "nonesuch"}}}, "unknown_tier", "tier"),
    ({"type": CREATE, "response": {"proactivellm": {"task": "ask"}}}, "missing_input", "inputs.question"),
    ({"type": "response.cancel"}, "response_cancel_not_active", None),
    ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
    ({"type": "input_audio_buffer.append", "audio": "AAAAAA=="}, "audio_not_supported", None),
    ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.append", "audio": "é"}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.append", "audio": ""}, "invalid_value", "audio"),
]
BAD_SESSIONS: list[tuple[Any, str, str]] = [
    ({"temperature": 1}, "unknown_parameter", "temperature"),
    ({"output_modalities": ["audio"]}, "invalid_value", "output_modalities.0"),
    ({"max_output_tokens": 0}, "invalid_value", "max_output_tokens"),
    ({"tools": [{"type": "function"}]}, "invalid_value", "tools"),
    ({"audio": {"input": {"turn_detection": {"type": "server_vad"}}}}, "invalid_value", "audio.input.turn_detection"),
    ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, "invalid_value", "audio.input.format.rate"),
    ({"audio": {"output": {"voice": "alloy"}}}, "unknown_parameter", "audio.output"),
    ({"proactivellm": {"tasks": "x"}}, "unknown_parameter", "proactivellm.tasks"),
    ({"proactivellm": {"model": "x"}}, "unknown_parameter", "proactivellm.model"),
    ({"proactivellm": {"include": ["text"]}}, "invalid_value", "proactivellm.include.0"),
    ({"proactivellm": {"tier": "low", "threshold": 0.1}}, "invalid_value", "proactivellm"),
]
BAD += [({"type": UPDATE, "session": {"type": "realtime", **bad}}, code, f"session.{param}") for bad, code, param in BAD_SESSIONS]


def test_what_is_wrong_is_told_with_the_event_s_id_and_ends_nothing(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await t.item("The ", more=True)
            await t.connection.response.create()
            await t.until("response.content_part.added")
            await t.connection.response.create(event_id="second")
            error = (await t.until("error"))[-1]["error"]
            assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
            await t.item("dog ")
            assert (await t.until("response.done"))[-1]["response"]["output"]
            await t.item("The cats ")
            await t.until("conversation.item.done")
            for number, (bad, code, param) in enumerate(BAD):
                text = bad if isinstance(bad, str) else json.dumps({**bad, "event_id": f"bad {number}"})
                await t.connection.send_raw(text)
                error = (await t.until("error"))[-1]["error"]
                told = (error["type"], error["code"], error["param"], error["event_id"])
                assert told == ("invalid_request_error", code, param, None if isinstance(bad, str) else f"bad {number}")
            await t.connection.input_audio_buffer.clear()
            assert (await t.receive())["type"] == "input_audio_buffer.cleared"
            assert (await t.respond())[-1]["response"]["output"]

    asyncio.run(act())
    wait_until(lambda: free(live))


def test_a_session_needs_a_task_where_the_model_has_several(live: Live) -> None:
    async def code(t: Talk) -> tuple[str, str]:
        await t.item("The dog ")
        await t.connection.response.create()
        error = (await t.until("error"))[-1]["error"]
        return error["code"], error["param"]

    async def act() -> None:
        async with talk(live, own=None) as t:
            assert await code(t) == ("missing_required_parameter", "session.proactivellm.task")
        async with talk(live, own=None, model="gpt-realtime") as t:
            assert await code(t) == ("unknown_model", "model")
        async with talk(live, own=None, model="gpt-realtime", task="echo") as t:
            assert await code(t) == ("unknown_model", "model")
        async with talk(live, own=None, task="echo", tier="low") as t:
            await t.item("The dog ")
            assert (await t.respond())[-1]["response"]["output"]

    asyncio.run(act())


def test_a_large_or_a_binary_frame_ends_the_connection(live: Live) -> None:
    async def act(frame: str | bytes, code: str, close_code: int) -> None:
        async with talk(live) as t:
            await t.connection.send_raw(frame)
            error = (await t.receive())["error"]
            assert error["code"] == code
            with pytest.raises(ConnectionClosed) as closed:
                await t.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == close_code

    asyncio.run(act("x" * (live.config.max_message_bytes + 1), "too_large", 4413))
    asyncio.run(act(b"\x00\x00", "bad_message", 4400))


def test_the_source_that_waits_is_bounded(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            for _ in range(live.config.slot_length + 1):
                await t.item("a", more=True)
            assert (await t.until("error"))[-1]["error"]["code"] == "source_too_long"

    asyncio.run(act())


def test_no_text_is_logged(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await t.item("birds sang ")
            await t.connection.send_raw('{"type": "conversation.item.create", "item": "birds"}')
            await t.until("error")
            text = (await t.respond())[-1]["response"]["output"][0]["content"][0]["text"]
            assert text not in str(lines)

    with structlog.testing.capture_logs() as lines:
        asyncio.run(act())
    assert {"session.started", "session.done"} <= {line["event"] for line in lines}
    assert "birds" not in str(lines)


def test_keys(tmp_path: Path) -> None:
    file, key = keyed(tmp_path)

    async def act(live: Live) -> None:
        async with talk(live, key=key) as t:
            await t.item("The dog ")
            assert (await t.respond())[-1]["response"]["output"]
        with pytest.raises(InvalidStatus):
            async with talk(live, key="another"):
                pass
        url = f"ws://127.0.0.1:{live.port}/v1/realtime"
        async with connect(url, subprotocols=["realtime", f"openai-insecure-api-key.{key}"]) as browser:
            assert browser.subprotocol == "realtime"
            assert (await receive(browser))["type"] == "session.created"
        async with connect(url, subprotocols=["realtime", "openai-insecure-api-key.another"]) as browser:
            assert browser.subprotocol == "realtime"
            error = await receive(browser)
            assert error["error"]["code"] == "not_authorised"
            with pytest.raises(ConnectionClosed):
                await receive(browser)
            assert browser.close_code == 4401

    with Live(api_keys_file=file) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
