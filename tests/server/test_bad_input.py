"""What bad input gets, over a real socket: the right error or close code, a free slot, and neighbours who notice nothing."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from server.serve import HARD_FRAME_LIMIT
from tests.server.live import END, LENGTH, SLOTS, START, TEXT, Event, Live, append, neighbour, receive, send, session, until, wait_until

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


def test_a_client_that_never_reads_is_told_and_closed(alone: list[Event]) -> None:
    """Its queue is full long before it costs memory, and its neighbour is not held up."""

    async def act(live: Live) -> None:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.connect(("127.0.0.1", live.port))
        async with live.connect(sock=raw, max_queue=1) as ws:
            await send(ws, {**START, "include": ["decision"]})
            await until(ws, "session.started")
            frame = json.dumps({"type": "ping", "id": "x" * 250})
            for _ in range(2000):
                await ws.send(frame)
                if live.error_count("slow_reader"):
                    break
                await asyncio.sleep(0)
            await asyncio.to_thread(wait_until, lambda: live.error_count("slow_reader") == 1)
            await closed_with(ws, 4430, error="slow_reader")

    with Live(max_queued_events=16, send_buffer=4096) as live:
        wait_until(lambda: live.worker.ready)
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


def test_a_client_that_floods_is_not_read_faster_than_it_is_answered() -> None:
    """Appends and updates wait in a bounded queue, then in the client's own socket."""
    longest = 0

    async def flood() -> Event:
        nonlocal longest
        async with session(live, head="full") as ws:
            sender = asyncio.create_task(
                send(ws, *(append("a") if i % 2 else {"type": "session.update", "threshold": 0.5} for i in range(600)), END)
            )
            while (event := await receive(ws))["type"] != "done":
                longest = max([longest, *(s.queued for s in live.engine.sessions)])
            await sender
            return event

    with Live(max_queued_messages=8, slot_length=512, kv_memory=1 << 26) as live:
        wait_until(lambda: live.worker.ready)
        done = asyncio.run(flood())
    assert longest <= 8
    assert done["usage"]["source_units"] == 1  # "aaaa…" is one word
