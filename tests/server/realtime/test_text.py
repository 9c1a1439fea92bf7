"""Responses to text on `/v1/realtime`: their events in their order, a source that is still arriving, several in sequence."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai import OpenAI

from tests.server.live import END, TEXT, Live, append, send, session, until, wait_until
from tests.server.realtime.talk import CLOSED, OPENED, OWN, USER, Talk, free, kinds, talk


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


async def native(live: Live, pieces: list[str]) -> tuple[list[tuple[str, int, int, int]], str]:
    """What `/v1/stream` writes for the same pieces, and its whole text."""
    async with session(live, **OWN) as ws:
        await send(ws, *map(append, pieces), END)
        events = await until(ws, "done")
    writes = [(event["text"], event["phi"], event["index"], event["count"]) for event in events if event["type"] == "write"]
    return writes, events[-1]["text"]


def test_a_response_in_their_events_and_their_order(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await t.item("The dog sat down ", id="item_mine")
            added, done = await t.receive(), await t.receive()
            assert kinds([added, done]) == ["conversation.item.added", "conversation.item.done"]
            assert added["previous_item_id"] is None
            assert (done["item"]["id"], done["item"]["status"], done["item"]["role"]) == ("item_mine", "completed", "user")
            events = await t.respond(metadata={"a": "b"})
            deltas = [event for event in events if event["type"] == "response.output_text.delta"]
            assert kinds(events) == [*OPENED, *["response.output_text.delta"] * len(deltas), *CLOSED]
            created, response = events[0]["response"], events[-1]["response"]
            assert (created["status"], created["output"], created["metadata"]) == ("in_progress", [], {"a": "b"})
            assert events[2]["previous_item_id"] == "item_mine"
            text = "".join(event["delta"] for event in deltas)
            assert (
                text
                == events[-5]["text"]
                == events[-4]["part"]["text"]
                == response["output"][0]["content"][0]["text"]
                == (await native(live, ["The dog sat down "]))[1]
            )
            assert len({event["response_id"] for event in deltas} | {created["id"], response["id"]}) == 1
            assert len({event["item_id"] for event in deltas} | {events[1]["item"]["id"], response["output"][0]["id"]}) == 1
            assert (response["status"], response["status_details"]["reason"]) == ("incomplete", "max_output_tokens")
            usage = response["usage"]
            assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
            assert usage["output_tokens"] == 12
            assert "proactivellm" not in json.dumps(events)

    asyncio.run(act())
    wait_until(lambda: free(live))


def test_deltas_come_before_the_source_is_complete(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await t.connection.response.create()
            for word in TEXT[:6]:
                await t.item(f"{word} ", more=True)
            seen = await t.until("response.output_text.delta")
            assert kinds(seen)[:4] == OPENED
            await t.item("birds sang")
            events = await t.until("response.done")
            assert "response.output_text.delta" in kinds(events)

    asyncio.run(act())


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_the_target_is_the_native_one_wherever_response_create_stands(live: Live, data: st.DataObject) -> None:
    pieces = data.draw(st.lists(st.sampled_from(["The ", "dog ", "sat do", "wn ", "birds ", "世界 ", "🐕"]), min_size=1, max_size=9))
    place = data.draw(st.integers(0, len(pieces) - 1))

    async def act() -> None:
        async with talk(live, own={**OWN, "include": ["phi"]}) as t:
            for index, piece in enumerate(pieces):
                if index == place:
                    await t.connection.response.create()
                await t.item(piece, more=index < len(pieces) - 1)
            events = await t.until("response.done")
        deltas = [event for event in events if event["type"] == "response.output_text.delta"]
        told = [(e["delta"], *(e["proactivellm"][name] for name in ("phi", "index", "count"))) for e in deltas]
        assert (told, events[-1]["response"]["output"][0]["content"][0]["text"]) == await native(live, pieces)

    asyncio.run(act())


def test_two_sessions_on_one_socket_in_sequence(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await t.item("The dog sat ")
            first = await t.respond()
            own = {"task": "ask", "inputs": {"question": "who?"}, "threshold": 0.0}
            assert (await t.update(proactivellm=own, max_output_tokens=5))["session"]["proactivellm"] == own
            await t.item("birds sang ")
            second = await t.respond(max_output_tokens=3)
            await t.item("birds sang ")
            third = await t.respond()
        responses = [events[-1]["response"] for events in (first, second, third)]
        assert [response["usage"]["output_tokens"] for response in responses] == [12, 3, 5]
        assert len({response["id"] for response in responses}) == 3
        assert len({response["conversation_id"] for response in responses}) == 1

    asyncio.run(act())
    wait_until(lambda: free(live))


def test_items_behind_a_complete_source_are_the_next_response_s(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await t.item("The dog ")
            await t.connection.response.create()
            await t.item("The cats sat ")
            await t.until("response.done")
            text = (await t.respond())[-1]["response"]["output"][0]["content"][0]["text"]
        assert text == (await native(live, ["The cats sat "]))[1]

    asyncio.run(act())


def test_instructions_replace_the_prompt_and_the_empty_string_gives_it_back(live: Live) -> None:
    async def usage(t: Talk, **params: Any) -> int:
        await t.item("The dog ")
        tokens: int = (await t.respond(**params))[-1]["response"]["usage"]["input_tokens"]
        return tokens

    async def act() -> None:
        async with talk(live) as t:
            usual = await usage(t)
            longer = "Say it again, and then say it once more, and then do it again:\n"
            assert (await t.update(instructions=longer))["session"]["instructions"] == longer
            assert await usage(t) > usual
            assert await usage(t, instructions="Say it:\n") < await usage(t)
            assert (await t.update(instructions=""))["session"]["instructions"] == ""
            assert await usage(t) == usual

    asyncio.run(act())


def test_events_of_our_own_only_for_who_asks(live: Live) -> None:
    async def act() -> None:
        async with talk(live, own={**OWN, "include": ["decision", "phi"]}) as t:
            for word in TEXT[:4]:
                await t.item(f"{word} ", more=word != TEXT[3])
            events = await t.respond()
        decisions = [event for event in events if event["type"] == "proactivellm.decision"]
        assert {event["action"] for event in decisions} == {"read", "write"}
        assert [event["phi"] for event in events if event["type"] == "proactivellm.read"] == [1, 2, 3, 4]
        created = next(event for event in events if event["type"] == "response.created")
        assert created["response"]["proactivellm"] == {"model": "tiny", "head": "entropy", "threshold": 0.4}
        own = events[-1]["response"]["proactivellm"]
        assert (own["reason"], own["units"]) == ("length", 4)
        assert 0 < own["rco"] <= 1

    asyncio.run(act())


def test_a_new_tier_holds_for_the_response_in_progress(live: Live) -> None:
    async def act() -> None:
        async with talk(live, own={"task": "echo", "threshold": 2.0, "include": ["decision"]}) as t:
            await t.connection.response.create()
            await t.until("response.content_part.added")
            await t.item("The ", more=True)
            assert (await t.until("proactivellm.decision"))[-1]["threshold"] == 2.0
            assert (await t.update(proactivellm={"tier": "low"}))["session"]["proactivellm"] == {
                "task": "echo",
                "tier": "low",
                "include": ["decision"],
            }
            await t.item("dog ", more=True)
            assert (await t.until("proactivellm.decision"))[-1]["threshold"] == 0.1
            error = await t.update("mine", proactivellm={"tier": "nonesuch"})
            assert (error["error"]["code"], error["error"]["event_id"]) == ("unknown_tier", "mine")
            await t.item("sat")
            await t.until("response.done")

    asyncio.run(act())


@pytest.mark.filterwarnings(r"ignore:connect\(\) must be used:DeprecationWarning")  # how the package calls websockets
def test_the_blocking_client(live: Live) -> None:
    client = OpenAI(api_key="none", base_url=f"http://127.0.0.1:{live.port}/v1")
    with client, client.realtime.connect(model="tiny", extra_query={"task": "echo"}) as connection:
        connection.conversation.item.create(item=USER)  # type: ignore[arg-type]
        connection.response.create()
        text = ""
        for event in connection:
            if event.type == "response.output_text.delta":
                text += event.delta
            if event.type == "response.done":
                assert event.response.output is not None
                assert event.response.output[0].content[0].text == text  # type: ignore[union-attr]
                break
        assert text


def test_the_program_of_the_docs(live: Live) -> None:
    page = (Path(__file__).parents[3] / "docs" / "openai.md").read_text()
    program = page.split("```python\n")[1].split("```")[0]
    for theirs, ours in {"8000": str(live.port), "translate-en-de": "tiny", "translate": "echo"}.items():
        assert program.count(theirs) == 1
        program = program.replace(theirs, ours)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout
