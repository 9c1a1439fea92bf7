"""What a scrape of /metrics says after sessions whose every decision is known."""

import asyncio
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from server.metrics import head_label
from tests.server.live import END, SLOTS, START, Live, append, receive, send, session, until, wait_until

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
WAIT_1 = {**START, "head": {"name": "wait_k"}, "threshold": 1.0, "max_output_tokens": 5}


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def scrape(live: Live) -> Samples:
    with urllib.request.urlopen(f"http://127.0.0.1:{live.port}/metrics", timeout=10) as response:
        text = response.read().decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


async def one(live: Live, count: int) -> None:
    """A session that is forced to write all of its five tokens by the source end: head `full` never writes before."""
    async with live.connect() as ws:
        await send(ws, {**START, "head": "full", "max_output_tokens": 5, "threshold": 0.5, "sampling": {"temperature": 10.0}})
        assert (await receive(ws))["type"] == "session.started"
        await send(ws, *(append("dog ") for _ in range(count)), END)
        await until(ws, "done")


def test_a_session_of_known_decisions_is_counted_as_it_was(live: Live) -> None:
    asyncio.run(one(live, 3))
    wait_until(lambda: value(scrape(live), "proactivellm_sessions", model="tiny") == 0)
    samples = scrape(live)
    told = {
        action: value(samples, "proactivellm_decisions_total", model="tiny", head="full", action=action)
        for action in ("read", "write", "forced_write")
    }
    assert told == {"read": 3, "write": 0, "forced_write": 5}
    assert value(samples, "proactivellm_target_tokens_total", model="tiny") == 5
    assert value(samples, "proactivellm_first_write_seconds_count", model="tiny") == 1
    assert value(samples, "proactivellm_final_seconds_count", model="tiny") == 1
    assert value(samples, "proactivellm_lag_seconds_count", model="tiny") >= 1
    # RCO 1: the whole source had been read when the first token was written. AIL M (L + 1) / (2 L) = 1.8.
    assert value(samples, "proactivellm_read_coverage_sum", model="tiny", head="full") == 1
    assert value(samples, "proactivellm_interaction_lag_units_sum", model="tiny", head="full") == pytest.approx(1.8)
    ticks = value(samples, "proactivellm_tick_seconds_count", model="tiny")
    assert ticks == value(samples, "proactivellm_tick_sessions_sum", model="tiny")  # one session at a time
    assert value(samples, "proactivellm_tick_tokens_sum", model="tiny") > 3 + 5
    assert value(samples, "proactivellm_slots", model="tiny") == SLOTS
    assert value(samples, "proactivellm_ready") == 1
    assert value(samples, "proactivellm_queue_age_seconds") == 0
    assert value(samples, "process_resident_memory_bytes") > 1 << 20
    assert any(name == "proactivellm_build_info" for name, _ in samples)


def test_a_session_whose_connection_ends_first_has_left_and_one_that_is_done_has_not(live: Live) -> None:
    def ended(reason: str) -> float:
        return live.app_metric("proactivellm_sessions_done_total", {"model": "tiny", "reason": reason})

    async def leave() -> None:
        async with session(live) as ws:
            await send(ws, append("The dog "))
            await until(ws, "read")

    before = ended("left")
    asyncio.run(one(live, 3))
    asyncio.run(leave())
    wait_until(lambda: ended("left") == before + 1)
    assert ended("end") + ended("length") >= 1


def test_refusals_and_slow_clients_have_series_before_the_first_and_are_counted(live: Live) -> None:
    before = scrape(live)
    for name, code in (("refusals", "no_capacity"), ("errors", "slow_reader"), ("errors", "no_capacity")):
        assert (f"proactivellm_{name}_total", frozenset({("code", code)})) in before

    async def act() -> None:
        async with live.connect() as ws:
            await send(ws, {**START, "task": "sing"})
            assert (await receive(ws))["code"] == "unknown_task"

    asyncio.run(act())
    assert value(scrape(live), "proactivellm_refusals_total", code="unknown_task") == 1


def test_a_head_that_no_registry_knows_is_other() -> None:
    assert (head_label("entropy"), head_label("x" * 50)) == ("entropy", "other")


def test_every_metric_is_explained(live: Live) -> None:
    for family in live.worker._metrics.registry.collect():
        assert len(family.documentation) > 5, family.name
        assert family.name.startswith(("proactivellm_", "process_", "python_")), family.name
