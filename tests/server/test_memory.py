"""What a connection leaves behind once it is closed: nothing that adds up until Python collects cycles, which is much later."""

import asyncio
import gc
from collections.abc import Iterator

import pytest

from server import wire
from server.config import ServerConfig
from server.metrics import Metrics
from server.models import Models
from server.resume import History
from tests import tiny
from tests.server.live import LENGTH, START, Live, memory, receive, send, session, until, wait_until
from tests.server.test_backpressure import deaf


@pytest.fixture(autouse=True)
def _nothing_is_collected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def alive(kind: type) -> int:
    return sum(type(found) is kind for found in gc.get_objects())  # not isinstance: some are weak references that are dead


def test_the_queue_of_a_client_that_never_read_goes_with_it() -> None:
    async def act(live: Live) -> None:
        async with await deaf(live) as ws:
            await send(ws, START)
            await until(ws, "session.started")
            pings = ({"type": "ping", "id": "x" * 250} for _ in range(2000))
            told = asyncio.to_thread(wait_until, lambda: live.error_count("slow_reader") == 1)
            await asyncio.gather(send(ws, *pings), told, return_exceptions=True)

    with Live(max_queued_events=500, send_buffer=4096, stalled_seconds=0.5) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
        wait_until(lambda: alive(wire.Ping) < 10)


def test_what_was_kept_for_a_client_that_did_not_come_back_goes_too() -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await send(ws, {"type": "ping", "id": "x"})
            assert (await receive(ws))["type"] == "pong"
            ws.transport.abort()

    with Live(resume_seconds=0.2) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
        wait_until(lambda: live.app_metric("proactivellm_resumes_total", {"outcome": "expired"}) == 1)
        kept = [found for found in gc.get_objects() if type(found) is History]
        assert [found.last for found in kept] == [2]
        wait_until(lambda: not kept[0]._frames)


def test_what_a_model_brings_does_not_put_off_the_next_full_collection() -> None:
    brought: list[list[int]] = [[] for _ in range(600_000)]  # more than a quarter of these is made in no test
    models = Models(ServerConfig(model=["tiny"], kv_memory=memory(), slot_length=LENGTH), Metrics(), lambda *_: tiny.checkpoint())
    models.load()
    before = gc.get_stats()[2]["collections"]
    gc.enable()
    held: list[list[int]] = [[] for _ in range(100_000)]
    gc.disable()
    assert gc.get_stats()[2]["collections"] > before
    del brought, held
