"""The protocol as it is meant to be used, over a real socket."""

import asyncio
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from engine.actions import Read, Write
from engine.request import Request
from tests import tiny
from tests.server.live import END, LENGTH, SLOTS, START, TEXT, Event, Live, append, neighbour, receive, send, session, until, wait_until


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def test_the_socket_says_exactly_what_the_engine_says(live: Live) -> None:
    events = asyncio.run(neighbour(live))
    expected = tiny.run(tiny.engine(length=LENGTH), Request("echo", threshold=0.4), tiny.words(" ".join(TEXT)))
    assert [event["type"] for event in events] == [type(event).__name__.lower() for event in expected]
    for wired, ours in zip(events, expected, strict=True):
        if isinstance(ours, Write | Read):
            assert {key: value for key, value in wired.items() if key != "type"} == vars(ours)
    assert events[-1]["text"] == "".join(event["text"] for event in events if event["type"] == "write")
    assert set(events[-1]) == {"type", "text", "reason", "usage", "rco", "ail"}


def test_started_tells_model_head_threshold_and_limits(live: Live) -> None:
    async def act() -> Event:
        async with live.connect() as ws:
            assert ws.subprotocol == "proactivellm.v1"
            await send(ws, {"type": "session.start", "task": "echo", "tier": "high", "max_output_tokens": 5})
            return await receive(ws)

    started = asyncio.run(act())
    assert len(started.pop("session_id")) == 32
    prompt = len(live.engine.checkpoint.frame.before) + len(live.engine.checkpoint.codec.encode("Say it again:\n").tokens)
    source_end, header = len(live.engine.checkpoint.frame.source_end), len(live.engine.checkpoint.frame.header)
    assert started == {
        "type": "session.started",
        "seq": 1,
        "resume_token": None,
        "model": "tiny",
        "head": "entropy",
        "threshold": 0.9,
        "unit": "word",
        "limits": {
            "max_source_tokens": LENGTH - prompt - source_end - header - 4,
            "max_source_seconds": None,
            "max_output_tokens": 5,
            "max_message_bytes": live.config.max_message_bytes,
        },
    }


def test_several_sessions_on_one_socket_count_seq_on_and_n_anew(live: Live) -> None:
    async def act() -> list[Event]:
        async with live.connect() as ws:
            events = []
            for _ in range(3):
                await send(ws, START, append("dog "), append("sat "), END)
                events += await until(ws, "done")
                await send(ws, append("too late "), END)  # ignored: the session is done
            await send(ws, {"type": "ping", "id": 7})
            return [*events, await receive(ws)]

    events = asyncio.run(act())
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["n"] for event in events if event["type"] == "read"] == [1, 2] * 3
    assert events[-1]["type"] == "pong"


def test_ping_answers_with_its_id_whatever_the_state(live: Live) -> None:
    async def act() -> list[Event]:
        async with live.connect() as ws:
            await send(ws, {"type": "ping", "id": "before"})
            first = await receive(ws)
            await send(ws, START)
            await receive(ws)
            await send(ws, {"type": "ping", "id": 2})
            return [first, await receive(ws)]

    assert asyncio.run(act()) == [{"type": "pong", "seq": 1, "id": "before"}, {"type": "pong", "seq": 3, "id": 2}]


def test_decisions_come_only_if_asked_for_and_before_what_they_decided(live: Live) -> None:
    async def act(**start: Any) -> list[Event]:
        async with session(live, **start) as ws:
            await send(ws, append("dog "), append("sat "), END)
            return await until(ws, "done")

    assert not [event for event in asyncio.run(act()) if event["type"] == "decision"]
    events = asyncio.run(act(include=["decision"]))
    for before, after in pairwise(events):
        if after["type"] == "read":
            assert (before["type"], before["action"], before["n"]) == ("decision", "read", after["n"])
    assert {event["score"] is None for event in events if event["type"] == "decision"} == {True, False}


def test_a_score_of_minus_infinity_is_null_on_the_wire(live: Live) -> None:
    """JSON has no infinity."""

    async def act() -> list[Event]:
        async with session(live, head="full", include=["decision"]) as ws:
            await send(ws, append("dog "), END)
            return await until(ws, "done")

    assert all(event["score"] is None for event in asyncio.run(act()) if event["type"] == "decision")


def test_an_update_takes_effect_after_the_source_before_it_and_is_acknowledged(live: Live) -> None:
    async def act() -> list[Event]:
        async with session(live, threshold=1.0) as ws:
            update = {"type": "session.update", "threshold": -1.0}
            await send(ws, append("dog "), append("sat "), update, append("down "))
            return await until(ws, "done")

    events = asyncio.run(act())
    assert [event["type"] for event in events[:3]] == ["read", "read", "session.updated"]
    assert (events[2]["threshold"], events[2]["from_index"]) == (-1.0, 0)
    assert {event["n"] for event in events if event["type"] == "write"} == {3}


def test_an_update_behind_the_source_end_is_acknowledged_right_before_done(live: Live) -> None:
    async def act() -> list[Event]:
        async with session(live, threshold=1.0) as ws:
            await send(ws, append("dog "), END, {"type": "session.update", "threshold": 0.5})
            return await until(ws, "done")

    updated, done = asyncio.run(act())[-2:]
    assert (updated["type"], updated["threshold"], updated["from_index"]) == ("session.updated", 0.5, done["usage"]["target_tokens"])


def test_with_decisions_only_the_last_digits_of_scores_depend_on_the_company(live: Live) -> None:
    """Actions, text and phi never do."""

    async def act() -> list[list[Event]]:
        async def one(head: str) -> list[Event]:
            async with session(live, head=head, include=["decision"]) as ws:
                await send(ws, *(append(f"{word} ") for word in TEXT), END)
                return await until(ws, "done")

        return await asyncio.gather(*map(one, heads))

    heads = ["entropy"]
    alone = asyncio.run(act())[0]
    heads = ["entropy", "attention", "mass", "entropy", "wait_k", "entropy"]
    for events in [events for head, events in zip(heads, asyncio.run(act()), strict=True) if head == "entropy"]:
        scores = [[event.get("score") for event in found] for found in (alone, events)]
        assert [{**event, "score": None} for event in events] == [{**event, "score": None} for event in alone]
        assert [score or 0.0 for score in scores[0]] == pytest.approx([score or 0.0 for score in scores[1]], abs=1e-4)
        assert [score is None for score in scores[0]] == [score is None for score in scores[1]]


def test_an_update_to_a_tier_and_one_that_is_refused(live: Live) -> None:
    async def act() -> list[Event]:
        async with session(live, threshold=1.0) as ws:
            await send(ws, {"type": "session.update", "tier": "low"}, {"type": "session.update", "tier": "lowest"})
            await send(ws, {"type": "session.update"}, {"type": "session.update", "tier": "low", "threshold": 1.0})
            return [await receive(ws) for _ in range(4)]

    events = asyncio.run(act())
    by_type = {event["type"]: event for event in events}
    assert by_type["session.updated"]["threshold"] == 0.1
    errors = {event["code"]: event for event in events if event["type"] == "error"}
    assert errors["unknown_tier"]["message"] == "expected tier to be one of: high, low; got 'lowest'"
    assert [event["fatal"] for event in events if event["type"] == "error"] == [False] * 3


def test_cancel_ends_with_done_and_frees_the_slot(live: Live) -> None:
    async def act() -> Event:
        async with session(live) as ws:
            await send(ws, append("dog "), {"type": "session.cancel"}, {"type": "session.cancel"})
            done = (await until(ws, "done"))[-1]
            await send(ws, START)
            assert (await receive(ws))["type"] == "session.started"
            return done

    done = asyncio.run(act())
    assert (done["reason"], done["rco"]) == ("cancelled", None)
    wait_until(lambda: live.engine.free_slots == SLOTS)


def test_a_head_with_parameters(live: Live) -> None:
    async def act() -> Event:
        async with session(live, head={"name": "fixed_chunk", "n": 2, "r": 1}, threshold=1.0) as ws:
            await send(ws, append("a "), append("b "))
            events = await until(ws, "read")
            return events[-1]

    assert asyncio.run(act())["n"] == 1


def test_an_early_end_has_no_rco(live: Live) -> None:
    async def act() -> Event:
        async with session(live, threshold=-1.0) as ws:
            await send(ws, append("dog "))
            return (await until(ws, "done"))[-1]

    done = asyncio.run(act())
    assert (done["reason"], done["rco"], done["ail"]) == ("length", None, None)


def test_an_idle_connection_is_told_and_closed_but_not_one_that_waits_for_us() -> None:
    async def act(live: Live) -> Event:
        async with session(live) as ws:
            await send(ws, append("dog "), END)
            await until(ws, "done")
            event = await receive(ws)
            with pytest.raises(ConnectionClosed) as closed:
                await receive(ws)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4408
            return event

    with Live(idle_seconds=0.3) as live:
        wait_until(lambda: live.worker.ready)
        event = asyncio.run(act(live))
    assert (event["code"], event["fatal"]) == ("idle", True)
