"""Too much to do: when it is, what sessions and newcomers see of it, and that it passes."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.overload import LOOKS_DOWN, LOOKS_UP, Overload, Step
from tests.server.live import END, START, TEXT, Live, append, receive, send, session, until, wait_until

CALM, OVER, BETWEEN = (0.0, 0.0), (0.0, 9.0), (0.0, 3.0)


def steps(overload: Overload, look: tuple[float, float], times: int) -> list[Step]:
    return [overload.look(*look) for _ in range(times)]


def test_it_takes_several_looks_up_more_down_and_nothing_in_between() -> None:
    overload = Overload(tick=1.0, queue=5.0, shed=True)
    up = steps(overload, OVER, 5 * LOOKS_UP)[LOOKS_UP - 1 :: LOOKS_UP]
    assert [(step.stride, step.refuses) for step in up] == [(2, False), (4, False), (8, False), (8, True), (8, True)]
    assert steps(overload, BETWEEN, 50)[-1] == Step(8, refuses=True)
    assert steps(overload, CALM, LOOKS_DOWN - 1)[-1] == Step(8, refuses=True)
    assert overload.look(*CALM) == Step(8, refuses=False)
    assert steps(overload, CALM, 3 * LOOKS_DOWN)[-1] == Step(1, refuses=False)


def test_without_shedding_newcomers_are_refused_at_once() -> None:
    overload = Overload(tick=1.0, queue=5.0, shed=False)
    assert steps(overload, (2.0, 0.0), LOOKS_UP)[-1] == Step(1, refuses=True)


def test_no_bounds_no_overload() -> None:
    assert steps(Overload(tick=0.0, queue=0.0, shed=True), (99.0, 99.0), 20)[-1] == Step(1, refuses=False)


@given(st.lists(st.tuples(st.floats(0, 3), st.floats(0, 12)), max_size=60))
def test_one_step_at_a_time_and_never_up_on_a_calm_look(looks: list[tuple[float, float]]) -> None:
    overload = Overload(tick=1.0, queue=5.0, shed=True)
    ladder = [Step(1, refuses=False), *(Step(s, refuses=False) for s in (2, 4, 8)), Step(8, refuses=True)]
    at = 0
    for tick, queue in looks:
        now = ladder.index(overload.look(tick, queue))
        assert now - at in ((0, 1) if tick > 1.0 or queue > 5.0 else (0, -1))
        at = now


def test_a_session_that_allows_it_gets_a_wider_stride_and_gets_it_back() -> None:
    async def act(live: Live) -> None:
        async with session(live, allow_stride=True, head="wait_k", threshold=100) as ws, session(live, threshold=100.0) as other:
            live.worker.set_stride(4)
            updated = await receive(ws)
            assert (updated["type"], updated["stride"], updated["from_index"]) == ("session.updated", 4, 0)
            await send(ws, *(append(word + " ") for word in TEXT[:8]))
            assert [(await receive(ws))["phi"] for _ in range(8)] == list(range(1, 9))
            live.worker.set_stride(1)
            assert (await receive(ws))["stride"] == 1
            await send(ws, append("again "), END)
            done = (await until(ws, "done"))[-1]
            assert done["usage"]["probes"] - done["usage"]["target_tokens"] in (3, 4)  # at 4, 8 and 9, and the end's own token
            await send(other, append("dog "))
            assert (await receive(other))["type"] == "read"  # nothing was announced to who did not ask for it

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_a_session_that_starts_under_load_is_told() -> None:
    async def act(live: Live) -> None:
        async with live.connect() as ws:
            await send(ws, {**START, "allow_stride": True})
            told = [await receive(ws) for _ in range(2)]
            assert [event["type"] for event in told] == ["session.started", "session.updated"]
            assert told[1]["stride"] == 2

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        live.worker.set_stride(2)
        asyncio.run(act(live))


def test_an_overloaded_server_sheds_then_refuses_and_recovers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.pulse.SECONDS", 0.02)
    age = 60.0
    monkeypatch.setattr("server.timing.Timings.queue_age", lambda _: age)

    async def start(live: Live) -> Any:
        async with live.connect() as ws:
            await send(ws, START)
            return await receive(ws)

    with Live(shed=True, overload_queue_seconds=5.0, overload_tick_seconds=0) as live:
        wait_until(lambda: live.worker.ready)
        wait_until(lambda: live.app_metric("proactivellm_refusing", {}) == 1)
        assert live.app_metric("proactivellm_stride", {}) == 8
        refused = asyncio.run(start(live))
        assert (refused["code"], refused["retry_after"]) == ("no_capacity", 5.0)
        assert live.app_metric("proactivellm_limits_total", {"limit": "overload", "of": "server"}) == 1
        age = 0.0
        wait_until(lambda: live.app_metric("proactivellm_stride", {}) == 1)
        assert asyncio.run(start(live))["type"] == "session.started"
