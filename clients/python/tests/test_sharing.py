"""Several sessions of the asyncio client, on one connection or on one each: none may see what is another's."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from proactivellm_client import (
    ProtocolError,
    ServerError,
    connect,
)

from clients.python.tests.fake import BEGUN, START, begun, c, done, playing, s


def run(act: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(act, 20))


def test_a_refusal_that_is_not_fatal_leaves_the_connection_for_the_next_start() -> None:
    async def act() -> None:
        refusal = s("error", 1, code="unknown_task", message="m", param="task", n=None, fatal=False, retry_after=None)
        script = [c("session.start", task="x"), refusal, START, begun(2), c("source.end"), done(3, "")]
        async with playing(script) as fake, connect(fake.url) as client:
            with pytest.raises(ServerError, match="unknown_task"):
                async with client.session("x"):
                    pytest.fail("it was refused")
            async with client.session("t") as session:
                await session.end()
                assert await session.text() == ""

    run(act())


def test_leaving_early_cancels_on_a_shared_connection() -> None:
    async def act() -> None:
        script = [START, BEGUN, c("session.cancel"), done(2, reason="cancelled"), START, begun(3), c("source.end"), done(4)]
        async with playing(script) as fake, connect(fake.url) as client:
            async with client.session("t"):
                pass
            async with client.session("t") as session:
                await session.end()
                await session.text()

    run(act())


def test_a_client_that_is_not_entered_gives_every_session_a_connection_without_the_last_ones_events() -> None:
    async def act() -> None:
        script = [START, BEGUN, c("source.append", text="a "), s("read", 2, phi=1, n=1), s("news", 3)]
        async with playing(script) as fake:
            client = connect(fake.url)
            for _ in range(2):
                async with client.session("t") as session:
                    await session.send("a ")
                    async for _event in session:
                        break
                    await client._pull()  # it lies there unread when the session is left
            with pytest.raises(ProtocolError, match="open connection"):
                await session.send("b ")

    run(act())


def test_leaving_a_shared_connection_while_another_task_iterates() -> None:
    async def act() -> None:
        script = [START, BEGUN, c("session.cancel"), done(2, "x", reason="cancelled")]
        async with playing(script) as fake, connect(fake.url) as client:
            async with client.session("t") as session:
                reader = asyncio.create_task(session.text())
                await asyncio.sleep(0)
            assert await reader == "x"

    run(act())


def test_what_is_sent_to_a_session_whose_connection_a_later_one_has_is_dropped() -> None:
    async def act() -> None:
        script = [START, BEGUN, c("source.end"), done(2), START, begun(3), c("source.end"), done(4)]
        async with playing(script) as fake, connect(fake.url) as client:
            async with client.session("t") as first:
                await first.end()
                await first.text()
            with pytest.raises(ProtocolError, match="async with"):
                await client.session("t").send("not entered")
            async with client.session("t") as second:
                await first.send("late ")
                await first.end()
                await first.cancel()
                assert [event async for event in first] == []
                await second.end()
                await second.text()

    run(act())


def test_a_client_that_was_not_entered_cannot_be_used() -> None:
    async def act() -> None:
        session = connect("ws://127.0.0.1:9").session("t")
        with pytest.raises(ProtocolError, match="async with"):
            _ = session.started

    run(act())
