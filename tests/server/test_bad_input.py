"""What bad input gets, over a real socket: the right error or close code, a free slot, and neighbours who notice nothing."""

import asyncio
import contextlib
import json
from collections.abc import Awaitable, Callable, Iterator

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from server.serve import HARD_FRAME_LIMIT
from tests.server.live import (
    END,
    LENGTH,
    SLOTS,
    START,
    TEXT,
    Event,
    Live,
    append,
    neighbour,
    receive,
    send,
    session,
    until,
    wait_until,
)

Act = Callable[[Live], Awaitable[None]]


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


@pytest.fixture(scope="module")
def alone(live: Live) -> list[Event]:
    events = asyncio.run(neighbour(live))
    assert sum(event["type"] == "write" for event in events) > 3
    return events


def check(live: Live, alone: list[Event], act: Act) -> None:
    """Acts while a neighbour is in the middle of its text; the neighbour's events must be equal to the byte, and all slots free."""
    assert asyncio.run(neighbour(live, lambda: act(live))) == alone
    wait_until(lambda: live.engine.free_slots == SLOTS)


async def closed_with(ws: ClientConnection, code: int, *, error: str | None) -> Event | None:
    """Reads to the close; the last event must be the fatal error, where one is expected."""
    last: Event | None = None
    with contextlib.suppress(ConnectionClosed):
        while True:
            last = await receive(ws)
    assert ws.close_code == code
    if error is not None:
        assert last is not None
        assert (last["type"], last["code"], last["fatal"]) == ("error", error, True)
    return last


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ("{", "message"),
        ("[]", "message"),
        ('"hi"', "message"),
        ('{"type": "source.apend", "text": "x"}', "source.append"),
        ('{"text": "x"}', "type"),
        ('{"type": "source.append"}', "text"),
        ('{"type": "source.append", "text": 5}', "text"),
        ('{"type": "source.append", "text": "x", "txt": ""}', "txt"),
        ('{"type": "source.append", "text": "\\ud800"}', "hex escape"),
        ('{"type": "ping"}', "id"),
        ("[" * 10_000, "message"),
    ],
    ids=["malformed", "list", "string", "unknown type", "no type", "missing", "ill-typed", "unknown field", "surrogate", "ping", "deep"],
)
def test_a_message_that_is_none_closes_with_4400(live: Live, alone: list[Event], frame: str, says: str) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await send(ws, append("dog "))
            await ws.send(frame)
            error = await closed_with(ws, 4400, error="bad_message")
            assert error is not None
            assert says in error["message"] or error["param"] == says

    check(live, alone, act)


def test_a_binary_frame_on_a_text_session_closes_with_4400(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await ws.send(b"\x00\x01")
            await closed_with(ws, 4400, error="bad_message")

    check(live, alone, act)


def test_a_frame_over_the_limit_closes_with_4413(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await send(ws, append("x" * live.config.max_message_bytes))
            await closed_with(ws, 4413, error="too_large")

    check(live, alone, act)


def test_a_frame_over_the_transports_limit_closes_with_1009(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await ws.send("x" * (HARD_FRAME_LIMIT + 1))
            await closed_with(ws, 1009, error=None)

    check(live, alone, act)


def test_invalid_utf8_closes_with_1007(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await ws.send(b'{"type": "source.append", "text": "\xff"}', text=True)
            await closed_with(ws, 1007, error=None)

    check(live, alone, act)


def test_text_after_source_end_is_bad_state_and_the_session_goes_on(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await send(ws, append("dog "), END, append("late "), END)
            events = await until(ws, "done")
            errors = [event for event in events if event["type"] == "error"]
            assert [(error["code"], error["fatal"]) for error in errors] == [("bad_state", False)] * 2
            assert events[-1]["usage"]["source_units"] == 1

    check(live, alone, act)


def test_a_second_start_is_bad_state_and_the_session_goes_on(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await send(ws, append("dog "), START, append("sat "), END)
            events = await until(ws, "done")
            assert [event["code"] for event in events if event["type"] == "error"] == ["bad_state"]
            assert events[-1]["usage"]["source_units"] == 2

    check(live, alone, act)


def test_a_message_before_any_session_is_bad_state(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            for message in (append("x"), END, {"type": "session.cancel"}, {"type": "session.update", "tier": "low"}):
                await send(ws, message)
                event = await receive(ws)
                assert (event["type"], event["code"], event["fatal"]) == ("error", "bad_state", False)

    check(live, alone, act)


@pytest.mark.parametrize(
    ("start", "code", "param"),
    [
        ({"inputs": {"question": "dog " * 200}, "task": "ask", "threshold": 0.4}, "prompt_too_long", "inputs"),
        ({"task": "sing"}, "unknown_task", "task"),
        ({"task": "echo", "model": "big"}, "unknown_model", "model"),
        ({"task": "echo", "head": "oracle"}, "unknown_head", "head"),
        ({"task": "echo", "head": ""}, "unknown_head", "head"),
        ({"task": "echo", "head": {"name": ""}}, "unknown_head", "head"),
        ({"task": "echo", "head": {"name": "attention", "frontier": "5"}}, "invalid_value", "head.frontier"),
        ({"task": "echo", "head": {"name": "attention", "frontier": 10**30}}, "invalid_value", "head.frontier"),
        ({"task": "echo", "max_output_tokens": 1000}, "prompt_too_long", "max_output_tokens"),
        ({"task": "echo", "max_output_tokens": 10**4000}, "bad_message", "max_output_tokens"),
        ({"task": "echo", "inputs": {"int": 5}}, "bad_message", "inputs.int"),
        ({"task": "echo", "head": 5}, "bad_message", "head"),
        ({"task": "echo", "head": {"name": "attention", "rho": 7}}, "invalid_value", "head.rho"),
        ({"task": "echo", "tier": "fastest"}, "unknown_tier", "tier"),
        ({"task": "ask"}, "missing_input", "inputs.question"),
        ({"task": "echo", "inputs": {"a": "b"}}, "unknown_input", "inputs.a"),
        ({"task": "echo", "tier": "low", "threshold": 0.5}, "bad_message", None),
        ({"task": "echo", "treshold": 0.5}, "bad_message", "treshold"),
        ({"task": 5}, "bad_message", "task"),
        ({}, "bad_message", "task"),
        ({"task": "echo", "stop": [""]}, "bad_message", "stop.0"),
        ({"task": "echo", "threshold": "NaN"}, "bad_message", "threshold"),
    ],
)
def test_a_start_that_cannot_be_is_refused_and_the_next_one_works(
    live: Live, alone: list[Event], start: Event, code: str, param: str | None
) -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            await send(ws, {"type": "session.start", **start})
            error = await receive(ws)
            assert (error["type"], error["code"], error["fatal"], error["param"]) == ("error", code, False, param)
            await send(ws, START, END)
            assert (await until(ws, "done"))[-1]["reason"] == "length"

    check(live, alone, act)


@pytest.mark.parametrize(
    "start",
    [{"task": "x" * 60_000}, {"task": "echo", "x" * 60_000: 1}, {"task": "echo", "inputs": {"x" * 60_000: ""}}, {"model": "x" * 60_000}],
)
def test_a_refusal_repeats_no_more_than_a_little_of_what_came(live: Live, start: Event) -> None:
    async def act() -> str:
        async with live.connect() as ws:
            await send(ws, {**START, **start})
            return json.dumps(await receive(ws))

    assert len(asyncio.run(act())) < 1500


def test_a_refusal_is_in_our_words(live: Live) -> None:
    async def act(message: Event) -> Event:
        async with live.connect() as ws:
            await send(ws, message)
            return await receive(ws)

    both = asyncio.run(act({**START, "tier": "low"}))
    assert both["message"] == "message: expected tier or threshold, got both"
    ping = asyncio.run(act({"type": "ping", "id": "x" * 257}))
    assert (ping["param"], ping["message"].split(";")[0]) == ("id", "id: expected at most 256 characters")


def test_what_stands_behind_a_start_waits_for_its_answer(live: Live, alone: list[Event]) -> None:
    """Of one write: each message behind a refused start is refused, and the next start is a new attempt."""

    async def act(live: Live) -> None:
        async with live.connect() as ws:
            bad = {**START, "task": "sing"}
            update = {"type": "session.update", "threshold": 0.5}
            burst = [bad, append("a "), update, {"type": "ping", "id": 1}, END, bad, START, START, append("dog "), END]
            for message in burst:
                ws.protocol.send_text(json.dumps(message).encode())
            ws.send_data()
            events = await until(ws, "done")
            told = [event.get("code", event["type"]) for event in events[:8]]
            refused = ["unknown_task", "bad_state", "bad_state", "pong", "bad_state", "unknown_task", "session.started", "bad_state"]
            assert told == refused
            assert events[-1]["usage"]["source_units"] == 1

    for _ in range(3):
        check(live, alone, act)


def test_a_source_longer_than_the_slot_ends_with_context(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with session(live, head="full") as ws:
            await send(ws, *(append("birds ") for _ in range(LENGTH)))
            done = (await until(ws, "done"))[-1]
            assert (done["reason"], done["rco"], done["ail"]) == ("context", None, None)

    check(live, alone, act)


def test_one_append_longer_than_the_slot_ends_with_context(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await send(ws, append("birds " * LENGTH))
            assert (await until(ws, "done"))[-1]["reason"] == "context"

    check(live, alone, act)


def test_a_client_that_vanishes_in_mid_write_frees_its_slot(live: Live, alone: list[Event]) -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            await send(ws, {**START, "threshold": -1.0}, *(append("dog ") for _ in range(20)), END)
            await until(ws, "write")
            ws.transport.abort()  # no close frame, no goodbye

    check(live, alone, act)


def test_a_hundred_sessions_for_eight_slots(live: Live, alone: list[Event]) -> None:
    """Eight are served as if they were alone; the others are refused with a time to come back, and then are served."""

    async def one() -> list[Event]:
        async with live.connect() as ws:
            await send(ws, START)
            first = await receive(ws)
            if first["type"] == "session.started":
                await all_in.wait()
                await send(ws, *(append(word + " ") for word in TEXT), END)
                return await until(ws, "done")
            assert (first["code"], first["fatal"]) == ("no_capacity", True)
            assert first["retry_after"] > 0
            await closed_with(ws, 1013, error=None)
            refused.append(first)
            if len(refused) == 92:
                all_in.set()
            return []

    async def crowd() -> list[list[Event]]:
        return [events for events in await asyncio.gather(*(one() for _ in range(100))) if events]

    all_in, refused = asyncio.Event(), []
    served = asyncio.run(crowd())
    assert (len(served), len(refused)) == (8, 92)
    for events in served:
        assert [{key: value for key, value in event.items() if key != "seq"} for event in events] == alone
    wait_until(lambda: live.engine.free_slots == SLOTS)
    assert asyncio.run(neighbour(live)) == alone
