"""Heads of other packages, over a real socket: the session that asks for a bad one is refused, its neighbours and the worker live on."""

import asyncio
from collections.abc import Iterator

import pytest

import heads
from tests.heads import third_party
from tests.server.live import END, SLOTS, START, Live, append, neighbour, receive, send, until, wait_until


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heads, "entry_points", third_party.entry_points)
        heads.known.cache_clear()
        with Live() as server:
            wait_until(lambda: server.worker.ready)
            yield server
    heads.known.cache_clear()


def test_a_head_that_cannot_be_used_is_refused_and_the_worker_lives(live: Live) -> None:
    async def act() -> None:
        async with live.connect() as ws:
            for name in third_party.REFUSED:
                await send(ws, {**START, "head": name})
                error = await receive(ws)
                assert (error["type"], error["code"], error["fatal"]) == ("error", "bad_head", False), name
            await send(ws, {**START, "head": "broken"})
            assert (await receive(ws))["code"] == "unknown_head"
            await send(ws, START, END)
            assert (await until(ws, "done"))[-1]["reason"] == "length"

    alone = asyncio.run(neighbour(live))
    assert asyncio.run(neighbour(live, act)) == alone
    assert live.worker.failed is None


def test_a_head_that_raises_ends_its_session_and_is_counted(live: Live) -> None:
    async def act() -> None:
        async with live.connect() as ws:
            await send(ws, {**START, "head": "RaisesInScore"}, append("dog "))
            *_, error, done = await until(ws, "done")
            assert (error["type"], error["code"], error["fatal"]) == ("error", "bad_signal", False)
            assert (error["n"], done["reason"]) == (1, "error")

    alone = asyncio.run(neighbour(live))
    before = live.error_count("bad_signal")
    assert asyncio.run(neighbour(live, act)) == alone
    assert live.error_count("bad_signal") == before + 1
    wait_until(lambda: live.engine.free_slots == SLOTS)
    assert live.worker.failed is None
