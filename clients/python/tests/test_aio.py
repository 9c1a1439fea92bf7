"""The asyncio client against a scripted server."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from proactivellm_client import (
    ClosedError,
    ConnectError,
    Done,
    Error,
    NoCapacityError,
    ProtocolError,
    Read,
    ServerError,
    SessionUpdated,
    UnknownEvent,
    Write,
    connect,
)
from websockets.asyncio.server import serve

from clients.python.tests.fake import BEGUN, START, begun, c, done, playing, s

CAPACITY = {"code": "no_capacity", "message": "full", "param": None, "n": None, "fatal": True, "retry_after": 2.0}


def run(act: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(act, 20))


def test_a_session_from_start_to_done() -> None:
    async def act() -> None:
        script = [
            START,
            BEGUN,
            c("source.append", text="The dog "),
            s("write", 2, text="Der Hund", index=0, count=2, phi=2, n=1),
            s("read", 3, phi=2, n=1),
            c("source.end"),
            done(4, "Der Hund"),
        ]
        async with playing(script) as fake, connect(fake.url).session("t") as session:
            assert session.started.model == "smollm2"
            await session.send("The dog ")
            await session.end()
            events = [event async for event in session]
            assert [type(event) for event in events] == [Write, Read, Done]
            assert session.done is events[-1]

    run(act())


def test_exchange_waits_for_the_answer_to_its_own_piece_and_text_for_the_end() -> None:
    async def act() -> None:
        script = [
            START,
            BEGUN,
            c("source.append", text="a "),
            s("read", 2, phi=1, n=1),
            c("source.append", text="b "),
            s("write", 3, text="A", index=0, count=1, phi=2, n=2),
            s("write", 4, text="B", index=1, count=1, phi=2, n=2),
            s("read", 5, phi=2, n=2),
            c("source.end"),
            done(6, "AB"),
        ]
        async with playing(script) as fake, connect(fake.url).session("t") as session:
            assert await session.exchange("a ") == []
            assert [write.text for write in await session.exchange("b ")] == ["A", "B"]
            await session.end()
            assert await session.text() == "AB"

    run(act())


def test_a_fatal_refusal_at_the_start_is_raised_with_its_code_and_when_to_come_back() -> None:
    async def act() -> None:
        async with playing([START, s("error", 1, **CAPACITY)], close=1013) as fake:
            with pytest.raises(NoCapacityError) as refused:
                async with connect(fake.url).session("t"):
                    pytest.fail("it was refused")
            assert (refused.value.code, refused.value.retry_after) == ("no_capacity", 2.0)

    run(act())


def test_a_refused_update_is_an_event_and_the_session_goes_on() -> None:
    async def act() -> None:
        refusal = s("error", 2, code="unknown_tier", message="m", param="tier", n=None, fatal=False, retry_after=None)
        script = [START, BEGUN, c("session.update", tier="x"), refusal, c("source.end"), done(3)]
        async with playing(script) as fake, connect(fake.url).session("t") as session:
            await session.update(tier="x")
            await session.end()
            assert [type(event) for event in [event async for event in session]] == [Error, Done]

    run(act())


def test_a_close_before_done_is_told_with_its_code() -> None:
    async def act() -> None:
        async with playing([START, BEGUN], close=1012) as fake, connect(fake.url).session("t") as session:
            with pytest.raises(ClosedError) as closed:
                await session.text()
            assert closed.value.code == 1012

    run(act())


def test_sending_after_a_fatal_error_raises_that_error() -> None:
    async def act() -> None:
        fatal = s("error", 2, code="too_large", message="m", param=None, n=None, fatal=True, retry_after=None)
        async with playing([START, BEGUN, fatal], close=4413) as fake, connect(fake.url).session("t") as session:
            await asyncio.sleep(0.2)  # both the error and the close have come, unread
            with pytest.raises(ServerError, match="too_large"):
                await session.send("x ")

    run(act())


def test_a_ping_beside_an_iteration() -> None:
    async def act() -> None:
        script = [START, BEGUN, c("ping", id=1), s("pong", 2, id=1), c("source.end"), done(3)]
        async with playing(script) as fake, connect(fake.url).session("t") as session:
            reader = asyncio.create_task(session.text())
            await asyncio.sleep(0)
            assert 0 < await session.ping() < 10
            await session.end()
            await reader

    run(act())


def test_an_event_of_a_newer_server_is_handed_out() -> None:
    async def act() -> None:
        script = [START, BEGUN, s("news", 2, seconds=5), c("source.end"), done(3)]
        async with playing(script) as fake, connect(fake.url).session("t") as session:
            await session.end()
            assert [type(event) for event in [event async for event in session]] == [UnknownEvent, Done]

    run(act())


def test_lost_events_are_a_protocol_error() -> None:
    async def act() -> None:
        async with playing([START, BEGUN, done(3)]) as fake, connect(fake.url).session("t") as session:
            with pytest.raises(ProtocolError, match="lost"):
                await session.text()

    run(act())


def test_a_fatal_error_ends_the_iteration_after_what_came_before_it() -> None:
    async def act() -> None:
        fatal = s("error", 3, code="worker_failed", message="m", param=None, n=None, fatal=True, retry_after=None)
        write = s("write", 2, text="A", index=0, count=1, phi=1, n=1)
        script = [START, BEGUN, c("source.append", text="a "), write, fatal]
        async with playing(script, close=1011) as fake, connect(fake.url).session("t") as session:
            await session.send("a ")
            assert isinstance(await anext(session), Write)
            with pytest.raises(ServerError, match="worker_failed") as failed:
                await anext(session)
            assert failed.value.fatal
            with pytest.raises(ServerError, match="worker_failed"):
                await session.exchange("b ")

    run(act())


def test_an_update_and_a_cancel() -> None:
    async def act() -> None:
        updated = s("session.updated", 2, threshold=0.5, from_index=0)
        cancelled = done(3, reason="cancelled")
        script = [START, BEGUN, c("session.update", threshold=0.5), updated, c("session.cancel"), cancelled]
        async with playing(script) as fake, connect(fake.url).session("t") as session:
            await session.update(threshold=0.5)
            await session.cancel()
            assert [type(event) for event in [event async for event in session]] == [SessionUpdated, Done]
            assert session.done is not None
            assert session.done.reason == "cancelled"

    run(act())


def test_an_event_of_a_newer_server_before_the_start_is_passed_over() -> None:
    async def act() -> None:
        script = [START, s("queued", 1, place=3), s("going_away", 2, seconds=5), begun(3), c("source.end"), done(4)]
        async with playing(script) as fake, connect(fake.url).session("t") as session:
            await session.end()
            assert await session.text() == ""

    run(act())


def test_who_sends_for_long_before_reading_still_answers_keepalive_pings() -> None:
    async def act() -> None:
        script = [START, BEGUN]
        for n in range(1, 41):  # more than websockets holds by itself
            script += [c("source.append", text="a "), s("read", n + 1, phi=n, n=n)]
        script += [c("source.end"), done(42)]
        impatient = {"ping_interval": 0.1, "ping_timeout": 0.3}
        async with playing(script) as fake, connect(fake.url, **impatient).session("t") as session:
            for _ in range(40):
                await session.send("a ")
            await asyncio.sleep(0.8)
            await session.end()
            assert await session.text() == ""

    run(act())


def test_a_websocket_that_is_not_ours_is_a_connect_error() -> None:
    async def act() -> None:
        async with serve(lambda socket: socket.wait_closed(), "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with pytest.raises(ConnectError, match="another websocket"):
                async with connect(f"http://127.0.0.1:{port}").session("t"):
                    pytest.fail("it speaks something else")

    run(act())


def test_every_option_goes_into_the_start() -> None:
    async def act() -> None:
        options: dict[str, Any] = {
            "model": "m",
            "inputs": {"q": "?"},
            "instruction": "i",
            "head": {"name": "mass"},
            "threshold": 0.5,
            "max_lag": 3,
            "max_output_tokens": 4,
            "stop": ["\n"],
            "sampling": {"temperature": 1.0},
        }
        script = [c("session.start", task="t", include=["decision"], **options), BEGUN]
        async with playing(script) as fake, connect(fake.url).session("t", tier=None, include_decisions=True, **options):
            pass

    run(act())


def test_nobody_listening_is_a_connect_error() -> None:
    async def act() -> None:
        with pytest.raises(ConnectError, match=r"127\.0\.0\.1:9"):
            async with connect("ws://127.0.0.1:9").session("t"):
                pytest.fail("nobody is there")

    run(act())
