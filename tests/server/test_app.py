"""Life and death of the server: health, models, metrics, loading, a device thread that dies."""

import asyncio
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import structlog
from websockets.exceptions import ConnectionClosed

from backbones.loading import Checkpoint
from errors import CheckpointError
from server.config import ServerConfig
from server.worker import Worker
from tests import tiny
from tests.server.live import END, LENGTH, SLOTS, START, Live, append, neighbour, receive, send, session, until, wait_until


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def get(live: Live, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{live.port}{path}", timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_health_readiness_and_models(live: Live) -> None:
    assert get(live, "/healthz") == (200, '{"status":"ok"}')
    assert get(live, "/readyz") == (200, '{"status":"ready"}')
    models = json.loads(get(live, "/v1/models")[1])
    (model,) = models["data"]
    assert (model["id"], model["slots"], model["unit"]) == ("tiny", SLOTS, "word")
    assert model["modalities"] == ["text"]
    assert set(model["tasks"]) == {"echo", "ask", "words"}
    assert model["tasks"]["ask"]["inputs"] == {"question": {"description": "the question", "default": None}}
    low = model["tasks"]["echo"]["tiers"]["entropy"]["low"]
    assert (low["threshold"], low["target"], low["achieved"], low["calibrated"]) == (0.1, None, None, False)
    assert "entropy" in models["heads"]


def test_metrics_count_what_happened(live: Live) -> None:
    before = live.app_metric("proactivellm_sessions_done_total", {"model": "tiny", "reason": "length"})
    written = live.app_metric("proactivellm_target_tokens_total", {"model": "tiny"})
    asyncio.run(neighbour(live))
    text = get(live, "/metrics")[1]
    assert f'proactivellm_sessions_done_total{{model="tiny",reason="length"}} {before + 1}' in text
    assert live.app_metric("proactivellm_target_tokens_total", {"model": "tiny"}) > written
    assert f'proactivellm_slots{{model="tiny"}} {float(SLOTS)}' in text
    wait_until(lambda: live.app_metric("proactivellm_sessions", {"model": "tiny"}) == 0)
    wait_until(lambda: live.worker._metrics.registry.get_sample_value("proactivellm_connections") == 0)


def test_no_page_of_ours_lists_the_api_and_other_paths_are_404(live: Live) -> None:
    assert [get(live, path)[0] for path in ("/docs", "/openapi.json", "/elsewhere")] == [404, 404, 404]


def test_before_the_model_is_loaded_the_process_is_healthy_and_a_session_is_told_to_come_back() -> None:
    go = threading.Event()

    def slow(*_: object) -> Checkpoint:
        go.wait(20)
        return tiny.checkpoint()

    async def early(live: Live) -> None:
        async with live.connect() as ws:
            await send(ws, START)
            event = await receive(ws)
            assert (event["code"], event["fatal"]) == ("not_ready", True)
            with pytest.raises(ConnectionClosed) as closed:
                await receive(ws)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1013

    with Live(slow) as live:
        assert get(live, "/healthz")[0] == 200
        assert get(live, "/readyz") == (503, '{"status":"loading"}')
        assert json.loads(get(live, "/v1/models")[1])["data"] == []
        asyncio.run(early(live))
        go.set()
        wait_until(lambda: live.worker.ready)
        assert get(live, "/readyz")[0] == 200
        assert asyncio.run(neighbour(live))


def test_what_the_byte_budget_came_to_is_logged_at_the_start() -> None:
    with structlog.testing.capture_logs() as lines, Live() as live:
        wait_until(lambda: live.worker.ready)
    (loaded,) = [line for line in lines if line["event"] == "model.loaded"]
    assert (loaded["model"], loaded["slots"], loaded["slot_length"], loaded["log_level"]) == ("tiny", SLOTS, LENGTH, "info")
    assert loaded["kv_bytes"] == SLOTS * loaded["slot_bytes"]


def test_clients_are_told_before_the_server_shuts_down() -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws, live.connect() as idle:
            await send(ws, append("dog "))
            await until(ws, "read", "write")
            live.server.should_exit = True
            for socket in (ws, idle):
                error = (await until(socket, "error"))[-1]
                assert (error["code"], error["fatal"]) == ("shutting_down", True)
                with pytest.raises(ConnectionClosed) as closed:
                    await receive(socket)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1012

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_a_model_that_cannot_be_loaded_fails_the_process() -> None:
    def missing(*_: object) -> Checkpoint:
        raise CheckpointError("expected a model, got none")

    with Live(missing) as live:
        wait_until(lambda: live.worker.failed is not None)
        assert get(live, "/readyz") == (503, '{"status":"failed"}')


def test_a_dying_device_thread_tells_its_sessions_and_unreadies_the_process() -> None:
    called = threading.Event()

    async def act(live: Live) -> None:
        async with session(live) as ws:
            await send(ws, append("dog "))
            await until(ws, "read", "write")

            def broken(*_: object) -> None:
                raise RuntimeError("the device fell off the bus")

            live.engine.runner.forward = broken  # type: ignore[method-assign,assignment]  # that is the point
            await send(ws, append("sat "), END)
            error = (await until(ws, "error"))[-1]
            assert (error["code"], error["fatal"]) == ("worker_failed", True)
            with pytest.raises(ConnectionClosed) as closed:
                await receive(ws)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1011

    async def late(live: Live) -> None:
        async with live.connect() as ws:
            await send(ws, START)
            assert (await receive(ws))["code"] == "worker_failed"

    with Live(max_restarts=0) as live:
        wait_until(lambda: live.worker.ready)
        live.worker.on_failure = called.set
        asyncio.run(act(live))
        assert called.wait(10)
        asyncio.run(late(live))
        assert get(live, "/readyz") == (503, '{"status":"failed"}')
        assert get(live, "/healthz")[0] == 200


def test_several_models_each_have_an_engine_and_a_session_may_name_one() -> None:
    def load(reference: str, _: ServerConfig) -> Checkpoint:
        checkpoint = tiny.checkpoint()
        only = {"a": ("echo",), "b": ("echo", "ask")}[reference]
        tasks = {name: task for name, task in checkpoint.config.tasks.items() if name in only}
        return replace(checkpoint, name=reference, config=checkpoint.config.model_copy(update={"tasks": tasks}))

    async def started(live: Live, **start: Any) -> str:
        async with live.connect() as ws:
            await send(ws, {"type": "session.start", **start})
            event = await receive(ws)
            model: str = event.get("model") or event["code"]
            return model

    with Live(load, model=["a", "b"]) as live:
        wait_until(lambda: live.worker.ready)
        assert [model["id"] for model in json.loads(get(live, "/v1/models")[1])["data"]] == ["a", "b"]
        assert asyncio.run(started(live, task="echo")) == "a"
        assert asyncio.run(started(live, task="ask", inputs={"question": "?"})) == "b"
        assert asyncio.run(started(live, task="echo", model="b")) == "b"
        assert asyncio.run(started(live, task="ask", model="a", inputs={"question": "?"})) == "unknown_task"
        assert asyncio.run(started(live, task="echo", model="c")) == "unknown_model"


def test_two_models_of_one_name_are_refused() -> None:
    with Live(model=["a", "b"]) as live:
        wait_until(lambda: live.worker.failed is not None)
        assert "'tiny' twice" in str(live.worker.failed)


def test_readiness_needs_a_recent_tick(monkeypatch: pytest.MonkeyPatch, live: Live) -> None:
    fresh = live.worker._last_tick
    wait_until(lambda: live.worker._last_tick > fresh)  # the canary ticks although nobody is there
    worker: Worker = live.worker
    monkeypatch.setattr("server.worker.time.monotonic", lambda: worker._last_tick + 5 * live.config.canary_seconds + 1)
    assert not worker.ready
