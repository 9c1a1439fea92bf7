"""Connections that break: whatever breaks where, a client that comes back sees what one sees whose connection holds."""

import asyncio
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proactivellm_client import ClosedError, ConnectError, Event, ServerError, connect
from proactivellm_client import sync as blocking
from websockets.exceptions import ConnectionClosed

from tests.server.keyed import keyed
from tests.server.live import END, SLOTS, START, TEXT, Live, append, receive, send, until, wait_until
from tests.server.proxy import Fault, proxied
from tests.server.test_transport import PING, frame, opened
from tests.server.test_transport import TEXT as MESSAGE

CUTS = st.builds(Fault, up=st.none() | st.integers(0, 1500), down=st.none() | st.integers(0, 3000), silent=st.booleans())
LATER = st.builds(Fault, up=st.integers(250, 1500), down=st.integers(250, 3000), silent=st.booleans(), twice=st.booleans())


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live(resume_seconds=20, kv_memory=10**7) as server:
        wait_until(lambda: server.worker.ready)
        yield server


@pytest.fixture(scope="module", autouse=True)
def impatient() -> Iterator[None]:
    """The client's first attempts at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proactivellm_client.unanswered.DELAYS", (0.0, 0.01, 0.02, 0.1, 0.5, 1.0))
        yield


async def stream(url: str) -> tuple[list[Event], int]:
    """One session with every kind of message: its events, and how often it was resumed."""
    client = connect(url, resume=True)
    async with client.session("echo", threshold=0.4, include_decisions=True) as going:

        async def speak() -> None:
            for place, word in enumerate(TEXT):
                await going.send(word + " ")
                if place == 4:
                    await going.update(tier="high")
                if place == 7:
                    await going.ping()
                    await going.update(threshold=0.4)
            await going.end()

        speaking = asyncio.create_task(speak())
        events = [event async for event in going]
        await speaking
        return events, client.resumed


def plain(events: Sequence[Event]) -> list[Any]:
    """Without `seq`: an answered ping has one too, and when it comes is a matter of time."""
    return [{name: getattr(event, name) for name in event.__slots__ if name != "seq"} for event in events]


@pytest.fixture(scope="module")
def unbroken(live: Live) -> list[Any]:
    return plain(asyncio.run(stream(live.url))[0])


@given(first=CUTS, later=st.lists(LATER, max_size=2))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_it_is_cut_the_session_is_the_same(live: Live, unbroken: list[Any], first: Fault, later: list[Fault]) -> None:
    async def act() -> tuple[list[Event], int]:
        async with proxied(live.port, [first, *later]) as proxy:
            return await stream(proxy.url)

    try:
        events, _ = asyncio.run(act())
    except (ConnectError, ClosedError):
        assert has_started_late(first)  # then there is nothing to go on with
    else:
        assert plain(events) == unbroken


def has_started_late(fault: Fault) -> bool:
    """The first connection may have been cut before the session's start was told."""
    return (fault.up is not None and fault.up < 600) or (fault.down is not None and fault.down < 700)


def test_delays_and_stalls_change_nothing(live: Live, unbroken: list[Any]) -> None:
    async def act() -> tuple[list[Event], int]:
        async with proxied(live.port, [Fault(down=1500, delay=0.02), Fault(up=600, delay=0.05), Fault(delay=0.03)]) as proxy:
            return await stream(proxy.url)

    events, resumed = asyncio.run(act())
    assert plain(events) == unbroken
    assert resumed >= 1


def test_the_blocking_client_goes_on_too(live: Live, unbroken: list[Any]) -> None:
    """Sending and iterating in two threads."""
    events: list[Event] = []

    def talk(url: str) -> int:
        client = blocking.connect(url, resume=True)
        with client.session("echo", threshold=0.4, include_decisions=True) as going:

            def speak() -> None:
                for place, word in enumerate(TEXT):
                    going.send(word + " ")
                    if place == 4:
                        going.update(tier="high")
                    if place == 7:
                        going.update(threshold=0.4)
                going.end()

            speaking = threading.Thread(target=speak)
            speaking.start()
            events.extend(going)
            speaking.join(20)
            return client.resumed

    async def act() -> int:
        async with proxied(live.port, [Fault(up=650), Fault(down=1500, twice=True), Fault(up=800, silent=True)]) as proxy:
            return await asyncio.to_thread(talk, proxy.url)

    assert asyncio.run(act()) >= 2
    assert plain(events) == unbroken


def test_without_being_asked_a_client_does_not_come_back(live: Live) -> None:
    async def act() -> None:
        async with proxied(live.port, [Fault(down=1000)]) as proxy, connect(proxy.url).session("echo", threshold=0.4) as going:
            for word in TEXT:
                await going.send(word + " ")
            await going.text()

    with pytest.raises(ClosedError):
        asyncio.run(act())


# ---- by hand


async def begin(live: Live) -> tuple[Any, Event]:
    """A socket with a session, and its start."""
    ws = await live.connect()
    await send(ws, START)
    return ws, await receive(ws)


def resume(started: Any, last_seq: int) -> dict[str, Any]:
    return {"type": "session.resume", "resume_token": started["resume_token"], "last_seq": last_seq}


async def refused(live: Live, message: dict[str, Any], **options: Any) -> Any:
    """The answer to a resume, which leaves the connection as it was."""
    async with live.connect(**options) as ws:
        await send(ws, message)
        error = await receive(ws)
        await send(ws, {"type": "ping", "id": 1})
        assert (await receive(ws))["type"] == "pong"
        return error


def lost(ws: Any) -> None:
    ws.transport.abort()


def test_a_second_holder_takes_over_and_the_first_is_told(live: Live) -> None:
    async def act() -> None:
        first, started = await begin(live)
        await send(first, append("dog "), append("sat "))
        seen = [await receive(first) for _ in range(2)]
        async with live.connect() as second:
            await send(second, resume(started, seen[0]["seq"]))
            resumed = await receive(second)
            assert (resumed["type"], resumed["n"], resumed["frames"]) == ("session.resumed", 2, 3)
            assert await receive(second) == seen[1]
            told = (await until(first, "error"))[-1]
            assert (told["code"], told["fatal"]) == ("resumed_elsewhere", True)
            with pytest.raises(ConnectionClosed) as closed:
                await receive(first)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4409
            await send(second, END)
            assert (await until(second, "done"))[-1]["seq"] > seen[1]["seq"]

    asyncio.run(act())


def test_what_was_written_meanwhile_comes_even_if_the_session_is_done(live: Live) -> None:
    async def act() -> None:
        ws, started = await begin(live)
        await send(ws, append("dog "), END)
        await until(ws, "done")
        lost(ws)
        async with live.connect() as again:
            await send(again, resume(started, 1))
            assert (await receive(again))["n"] == 2
            events = await until(again, "done")
            assert [event["seq"] for event in events] == list(range(2, len(events) + 2))
            await send(again, START)  # and the connection is as good as any
            fresh = await receive(again)
            assert (fresh["type"], fresh["seq"]) == ("session.started", events[-1]["seq"] + 1)
            assert (await refused(live, resume(started, 1)))["code"] == "unknown_session"  # a token is for one session

    asyncio.run(act())


def test_what_cannot_be_resumed_is_told(live: Live) -> None:
    async def act() -> None:
        ws, started = await begin(live)
        unknown = await refused(live, {**resume(started, 1), "resume_token": "x" * 43})
        assert (unknown["code"], unknown["fatal"]) == ("unknown_session", False)
        ahead = await refused(live, resume(started, 9))
        assert (ahead["code"], ahead["param"]) == ("invalid_value", "last_seq")
        await send(ws, resume(started, 1))
        assert (await until(ws, "error"))[-1]["code"] == "bad_state"  # not the first message
        free = live.engine.free_slots
        await ws.close()
        await asyncio.to_thread(wait_until, lambda: live.engine.free_slots > free, 5)  # who says goodbye is not waited for
        assert (await refused(live, resume(started, 1)))["code"] == "unknown_session"

    asyncio.run(act())


def test_more_than_is_kept_cannot_be_sent_again() -> None:
    async def act(live: Live) -> None:
        ws, started = await begin(live)
        await send(ws, *({"type": "ping", "id": "x" * 200} for _ in range(8)))
        newest = [await receive(ws) for _ in range(8)][-1]["seq"]
        gap = await refused(live, resume(started, 1))
        assert (gap["code"], gap["fatal"]) == ("resume_gap", False)
        async with live.connect() as again:  # with less to send it can
            await send(again, resume(started, newest - 2))
            assert [(await receive(again))["type"] for _ in range(3)] == ["session.resumed", "pong", "pong"]

    with Live(resume_seconds=20, resume_buffer=1024) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


async def lost_before_its_events(live: Live, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session whose socket breaks before the engine answers any of thirty words: its `session.started`."""
    ws, started = await begin(live)
    goes, step = threading.Event(), live.engine.step
    monkeypatch.setattr(live.engine, "step", lambda: step() if goes.wait(20) else [])
    await send(ws, *(append("dog ") for _ in range(30)), END, {"type": "ping", "id": "there"})
    await until(ws, "pong")  # behind all of them, which wait for the engine
    lost(ws)
    await asyncio.to_thread(wait_until, lambda: live.app_metric("proactivellm_parked", {}) == 1)
    goes.set()
    await asyncio.to_thread(wait_until, lambda: not live.engine.sessions)
    return started


def test_more_events_than_may_wait_for_a_socket_are_kept_for_who_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(live: Live) -> None:
        started = await lost_before_its_events(live, monkeypatch)
        async with live.connect() as again:
            await send(again, resume(started, 1))
            events = await until(again, "done")
            assert [event["seq"] for event in events[1:]] == list(range(2, len(events) + 1))
            assert len(events) > 30

    with Live(resume_seconds=60, max_queued_events=8) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_a_session_that_nobody_could_resume_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(live: Live) -> None:
        started = await lost_before_its_events(live, monkeypatch)
        await asyncio.to_thread(wait_until, lambda: live.app_metric("proactivellm_parked", {}) == 0)
        assert live.app_metric("proactivellm_resumes_total", {"outcome": "not_kept"}) == 1
        assert (await refused(live, resume(started, 2)))["code"] == "unknown_session"

    with Live(resume_seconds=60, max_queued_events=8, resume_buffer=1024) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
        wait_until(lambda: live.engine.free_slots == SLOTS)


def test_nobody_comes_back_and_too_many_wait() -> None:
    async def act(live: Live) -> None:
        sockets = [await begin(live) for _ in range(3)]
        for ws, _ in sockets:
            lost(ws)
        await asyncio.to_thread(wait_until, lambda: len(live.engine.sessions) == 2)
        assert live.app_metric("proactivellm_parked", {}) == 2
        assert live.app_metric("proactivellm_resumes_total", {"outcome": "not_kept"}) == 1
        await asyncio.to_thread(wait_until, lambda: not live.engine.sessions)
        assert live.app_metric("proactivellm_parked", {}) == 0
        assert live.app_metric("proactivellm_resumes_total", {"outcome": "expired"}) == 2
        assert (await refused(live, resume(sockets[0][1], 1)))["code"] == "unknown_session"

    with Live(resume_seconds=0.5, max_parked=2) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
        assert live.engine.free_slots == SLOTS


def test_what_is_done_makes_room_for_what_runs() -> None:
    async def act(live: Live) -> None:
        for _ in range(2):
            done, _ = await begin(live)
            await send(done, append("dog "), END)
            await until(done, "done")
            lost(done)
        await asyncio.to_thread(wait_until, lambda: live.app_metric("proactivellm_parked", {}) == 2)
        running, started = await begin(live)
        lost(running)
        await asyncio.to_thread(wait_until, lambda: live.app_metric("proactivellm_resumes_total", {"outcome": "not_kept"}) == 1)
        assert (live.app_metric("proactivellm_parked", {}), len(live.engine.sessions)) == (2, 1)
        async with live.connect() as again:
            await send(again, resume(started, 1))
            assert (await receive(again))["type"] == "session.resumed"
            await send(again, END)
            await until(again, "done")

    with Live(resume_seconds=60, max_parked=2) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_claimants_that_take_nothing_keep_nobody_waiting() -> None:
    """The holder takes nothing, nor does who claims its session next; a third gets it in the seconds that it takes to tell them."""

    def flood(raw: socket.socket) -> None:
        for _ in range(40):  # of pongs, 500 kB
            raw.sendall(frame(PING, bytes(125)) * 100)

    async def act(live: Live) -> None:
        holder, claimant = (opened(live) for _ in range(2))
        holder.sendall(frame(MESSAGE, json.dumps(START).encode()))
        started = await asyncio.to_thread(told, holder)
        claim = resume(started, 1)
        await asyncio.to_thread(flood, holder)
        await asyncio.to_thread(flood, claimant)
        resumed = live.app_metric("proactivellm_resumes_total", {"outcome": "resumed"})
        claimant.sendall(frame(MESSAGE, json.dumps(claim, separators=(",", ":")).encode()))
        await asyncio.to_thread(wait_until, lambda: live.app_metric("proactivellm_resumes_total", {"outcome": "resumed"}) == resumed + 1)
        async with live.connect() as third:
            await send(third, claim)
            assert (await receive(third))["type"] == "session.resumed"
            await send(third, append("dog "), END)
            await until(third, "done")
        holder.close()
        claimant.close()

    with Live(resume_seconds=20, send_buffer=4096) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def told(raw: socket.socket) -> Event:
    """The first event on a socket that shows frames as they are."""
    took = b""
    while not took.endswith(b"}}"):
        took += raw.recv(4096)
    event: Event = json.loads(took[took.index(b"{") :])
    return event


def test_a_session_is_its_keys_own(tmp_path: Path) -> None:
    file, key = keyed(tmp_path, "one")
    _, other = keyed(tmp_path, "another")
    mine, theirs = ({"additional_headers": {"X-API-Key": value}} for value in (key, other))

    async def act(live: Live) -> None:
        ws = await live.connect(**mine)
        await send(ws, START)
        started = await receive(ws)
        lost(ws)
        assert (await refused(live, resume(started, 1), **theirs))["code"] == "unknown_session"
        async with live.connect(**mine) as again:
            await send(again, resume(started, 1))
            assert (await receive(again))["type"] == "session.resumed"

    with Live(resume_seconds=20, api_keys_file=file) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_a_server_that_does_not_resume_gives_no_token_and_frees_the_slot() -> None:
    async def act(live: Live) -> None:
        ws, started = await begin(live)
        assert started["resume_token"] is None
        lost(ws)
        await asyncio.to_thread(wait_until, lambda: live.engine.free_slots == SLOTS)

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_a_client_gives_up_where_the_session_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proactivellm_client.unanswered.DELAYS", (2.0, 2.0))

    async def act(live: Live) -> None:
        async with proxied(live.port, [Fault(down=800)]) as proxy, connect(proxy.url, resume=True).session("echo", head="full") as going:
            for word in TEXT:
                await going.send(word + " ")
            await going.end()
            await going.text()

    with Live(resume_seconds=0.05) as live:
        wait_until(lambda: live.worker.ready)
        with pytest.raises(ServerError, match="unknown_session"):
            asyncio.run(act(live))


@pytest.mark.parametrize("how", ["lost", "closed"])
def test_a_socket_that_ends_while_another_takes_over_ends_nothing(how: str) -> None:
    """The server learns of the end between the claim and its turn."""

    async def change_over(live: Live) -> None:
        old, new = await live.connect(ping_interval=None), await live.connect(ping_interval=None)
        await send(old, START)
        started = await receive(old)
        await send(old, append("The "))
        last = (await until(old, "read"))[-1]["seq"]
        await send(new, {"type": "session.resume", "resume_token": started["resume_token"], "last_seq": last})
        ending = asyncio.create_task(old.close(1000)) if how == "closed" else old.transport.abort()
        assert (await receive(new))["type"] == "session.resumed"
        await asyncio.sleep(0.7)  # longer than the session would be kept
        await send(new, append("dog "))
        await asyncio.wait_for(until(new, "read"), 20)
        await new.close()
        if ending is not None:
            await ending

    with Live(resume_seconds=0.5, kv_memory=10**7) as live:
        wait_until(lambda: live.worker.ready)
        for _ in range(4):
            asyncio.run(change_over(live))


def test_a_refused_resume_does_not_count_as_a_frame(live: Live) -> None:
    async def act() -> Event:
        first = await live.connect()
        await send(first, {"type": "session.resume", "resume_token": "nobody's", "last_seq": 0})
        assert (await receive(first))["code"] == "unknown_session"
        await send(first, START)
        started = await receive(first)
        await send(first, append("The "))
        last = (await until(first, "read"))[-1]["seq"]
        first.transport.abort()
        second = await live.connect()
        await send(second, {"type": "session.resume", "resume_token": started["resume_token"], "last_seq": last})
        resumed = await receive(second)
        await second.close()
        return resumed

    resumed = asyncio.run(act())
    assert (resumed["type"], resumed["frames"], resumed["n"]) == ("session.resumed", 2, 1)
