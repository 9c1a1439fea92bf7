"""A device's thread that fails, or is stuck: who is told, and that it comes back."""

import asyncio
import gc
import threading
import time
import weakref

import pytest
import structlog
from websockets.exceptions import ConnectionClosed

from server.supervise import LONGEST_WAIT, WITHIN, Restarts
from tests.server.live import END, START, Live, append, neighbour, receive, send, session, until, wait_until
from tests.server.test_app import get


def test_restarts_are_bounded_wait_longer_each_time_and_are_forgotten() -> None:
    restarts = Restarts(3)
    assert [restarts.next_wait(float(now)) for now in range(4)] == [0.5, 1.0, 2.0, None]
    assert restarts.next_wait(WITHIN + 0.5) == 2.0  # the first is forgotten
    assert restarts.next_wait(3 * WITHIN) == 0.5
    many = Restarts(20)
    assert max(wait for _ in range(20) if (wait := many.next_wait(0.0)) is not None) == LONGEST_WAIT
    assert Restarts(0).next_wait(0.0) is None


def break_it(live: Live) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the device fell off the bus")

    live.engine.runner.forward = broken  # type: ignore[method-assign,assignment]  # that is the point


def test_after_a_crash_sessions_are_told_and_an_engine_on_the_same_model_serves_the_next() -> None:
    async def crash(live: Live) -> None:
        async with session(live) as ws:
            await send(ws, append("dog "))
            await until(ws, "read", "write")
            break_it(live)
            await send(ws, append("sat "), END)
            error = (await until(ws, "error"))[-1]
            assert (error["code"], error["fatal"], error["retry_after"]) == ("worker_failed", True, 2.0)
            with pytest.raises(ConnectionClosed):
                await receive(ws)
        async with live.connect() as ws:
            await send(ws, START)
            assert (await receive(ws))["code"] == "worker_failed"
        assert get(live, "/readyz") == (503, '{"status":"failed"}')

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        before = asyncio.run(neighbour(live))
        checkpoint, slots = live.engine.checkpoint, weakref.ref(live.engine.runner.slots)
        asyncio.run(crash(live))
        wait_until(lambda: live.worker.ready)
        assert asyncio.run(neighbour(live)) == before
        assert live.engine.checkpoint is checkpoint
        assert live.app_metric("proactivellm_worker_restarts_total", {}) == 1
        gc.collect()
        assert slots() is None  # two sets of slots would not fit


def test_a_thread_that_fails_again_and_again_ends_the_process() -> None:
    called = threading.Event()

    async def crash(live: Live) -> None:
        async with session(live) as ws:
            break_it(live)
            await send(ws, append("dog "))
            await until(ws, "error")

    with Live(max_restarts=1) as live:
        wait_until(lambda: live.worker.ready)
        live.worker.on_failure = called.set
        asyncio.run(crash(live))
        wait_until(lambda: live.worker.ready)
        assert not called.is_set()
        asyncio.run(crash(live))
        assert called.wait(10)
        assert live.worker.failed is not None


def test_a_start_that_fails_the_thread_is_answered() -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            live.engine.open = None  # type: ignore[method-assign,assignment]  # fails as nothing foreseen does
            await send(ws, START)
            assert (await receive(ws))["code"] == "worker_failed"

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
        wait_until(lambda: live.worker.ready)


def test_the_watchdog_unreadies_a_stuck_server_says_where_it_is_and_takes_it_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.pulse.SECONDS", 0.05)
    release = threading.Event()

    def where_it_hangs() -> None:
        release.wait(20)

    async def act(live: Live) -> None:
        async with session(live) as ws:
            step = live.engine.step

            def stuck() -> object:
                where_it_hangs()
                return step()

            live.engine.step = stuck  # type: ignore[method-assign,assignment]
            await send(ws, append("dog "))
            await asyncio.to_thread(wait_until, lambda: get(live, "/readyz")[0] == 503)
            assert get(live, "/readyz") == (503, '{"status":"stalled"}')
            live.engine.step = step  # type: ignore[method-assign]
            release.set()
            await until(ws, "read", "write")
            await asyncio.to_thread(wait_until, lambda: get(live, "/readyz")[0] == 200)

    with structlog.testing.capture_logs() as lines, Live(watchdog_seconds=0.2, canary_seconds=30.0) as live:
        wait_until(lambda: live.worker.ready)
        time.sleep(0.5)  # an idle thread is not stuck
        assert live.worker.ready
        asyncio.run(act(live))
        assert live.app_metric("proactivellm_worker_stalls_total", {}) == 1
    (stalled,) = [line for line in lines if line["event"] == "worker.stalled"]
    assert "where_it_hangs" in stalled["stacks"]
    assert "worker.resumed" in [line["event"] for line in lines]
