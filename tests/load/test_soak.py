"""The load tool against a real server: its figures are those of the sessions, its faults are faults, and its checks can fail."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import main
from load.crowd import Plan
from load.feed import text_feeds
from load.server import LoadError, State, state
from load.session import Result, Target, be_deaf, behave, vanish
from load.soak import check_memory, check_outputs, check_slots, load, soak, solo
from tests.server.live import SLOTS, Live, wait_until

SOURCES = ["The dog sat down.", "Where the cats were, the birds sang all day.", "A dog."]


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live(max_queued_events=16, send_buffer=4096, stalled_seconds=0.5) as server:
        wait_until(lambda: server.worker.ready)
        yield server


def target(live: Live) -> Target:
    return Target(f"ws://127.0.0.1:{live.port}", "echo", {"threshold": 0.4})


def test_a_soak_with_faults_ends_with_slots_free_and_outputs_as_alone(live: Live) -> None:
    plan = Plan(clients=6, seconds=2.0, vanishing=0.3, deaf=0.15, linger=0.5, seed=0)
    # The server's process is this one: its memory is not only its own.
    found = asyncio.run(soak(target(live), text_feeds(SOURCES, 20.0), plan, memory_growth=0.5, differing=0.0))
    assert {check.name: check.held for check in found.checks} == {"slots": True, "memory": True, "outputs": True}, found.checks
    assert found.held
    assert found.sessions["vanish"] > 0
    assert found.sessions["deaf"] > 0
    assert found.sessions["length"] > 0
    assert found.slots == SLOTS
    for spread in (found.first_write, found.lag, found.final_after_end):
        assert spread.p50 is not None
        assert spread.p99 is not None
        assert 0 <= spread.p50 <= spread.p99
    assert live.worker.failed is None


def test_one_that_never_reads_is_closed_and_one_that_vanishes_frees_its_slot(live: Live) -> None:
    feed = text_feeds([SOURCES[1]], 0)[0]
    slow = live.error_count("slow_reader")

    async def act() -> None:
        gone = await vanish(target(live), feed, 0.5)
        assert (gone.started, gone.error, gone.trace.ended) == (True, None, None)
        assert len(gone.trace.sent) == round(0.5 * len(feed.pieces))
        deaf = asyncio.create_task(be_deaf(target(live), feed, 60.0))
        await asyncio.to_thread(wait_until, lambda: live.error_count("slow_reader") == slow + 1)
        deaf.cancel()
        await asyncio.wait([deaf])

    asyncio.run(act())
    wait_until(lambda: live.engine.free_slots == SLOTS)


def test_waits_are_counted_from_when_source_was_due(live: Live) -> None:
    feed = text_feeds([SOURCES[0]], 10.0)[0]

    async def act() -> Result:
        return await behave(Target(target(live).url, "echo", {"head": "full", "max_output_tokens": 3}), feed)

    result = asyncio.run(act())
    trace = result.trace
    assert [round(at - trace.sent[0], 3) for at in trace.sent[:4]] == [0.0, 0.1, 0.2, 0.3]
    assert trace.ended is not None
    assert trace.first_write is not None
    assert trace.final_after_end is not None
    # `full` writes nothing before the source end, which is sent as soon as the last word is.
    assert trace.first_write >= 0.3
    assert len(trace.lags) >= 1
    assert max(trace.lags) <= trace.final_after_end + 0.001


def test_more_clients_than_slots_are_refused_and_come_back(live: Live) -> None:
    found = asyncio.run(load(target(live), text_feeds([SOURCES[1]], 10.0), Plan(clients=SLOTS + 6, seconds=1.5)))
    assert found.sessions["refused"] > 0
    assert found.sessions["length"] >= SLOTS
    assert not found.checks


def test_the_checks_fail_where_they_should(live: Live) -> None:
    feed = text_feeds([SOURCES[0]], 0)[0]
    good = asyncio.run(behave(target(live), feed))
    alone = asyncio.run(solo(target(live), [feed]))
    broken = Result(feed, started=True, error="closed")
    (text, reason, writes) = alone[feed.name]
    assert check_outputs([good], alone, 0).held
    assert not check_outputs([good], {feed.name: (text, reason, writes[1:])}, 0).held
    assert check_outputs([good], {feed.name: (text + "!", reason, writes)}, 1.0).held
    assert not check_outputs([good, broken], alone, 1.0).held
    assert not check_outputs([], alone, 0).held
    assert check_memory(State(1, 0, 1000), State(1, 0, 1020), 0.02).held
    assert not check_memory(State(1, 0, 1000), State(1, 0, 1021), 0.02).held
    assert not check_memory(State(1, 0, None), State(1, 0, None), 0.02).held
    assert check_slots(State(8, 0, 1)).held
    assert not check_slots(State(8, 1, 1)).held


def test_a_source_that_fails_alone_is_told(live: Live) -> None:
    wrong = Target(target(live).url, "sing", {})
    with pytest.raises(LoadError, match="source 1 alone"):
        asyncio.run(solo(wrong, text_feeds(SOURCES, 0)))


def test_what_is_no_key_is_told_and_not_repeated(live: Live) -> None:
    with pytest.raises(LoadError, match="expected an API key") as refused:
        asyncio.run(state(f"ws://127.0.0.1:{live.port}", "two words"))
    assert "two" not in refused.value.message


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["proactivellm", "load", *arguments])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert isinstance(left.value.code, int)
    return left.value.code


def test_the_command_prints_a_table_or_json(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sources = tmp_path / "sources.txt"
    sources.write_text("The dog sat.\n\nA bird sang.\n")
    flags = [f"ws://127.0.0.1:{live.port}", "--task", "echo", "--duration", "0.5", "--rate", "50", "--source", str(sources)]
    assert run(monkeypatch, *flags) == 0
    out = capsys.readouterr().out
    assert "time to first write" in out
    assert "0 in use afterwards" in out
    assert run(monkeypatch, *flags, "--soak", "--memory-growth", "-0", "--clients", "2", "--json", "--linger", "0.2") in (0, 1)
    out = capsys.readouterr().out
    told = json.loads(out[out.index("{\n") :])  # the server logs to the same place here
    assert [check["name"] for check in told["checks"]] == ["slots", "memory", "outputs"]
    assert told["held"] == all(check["held"] for check in told["checks"])
    assert told["clients"] == 2


def test_no_server_and_no_source_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    for arguments, said in (
        (["ws://127.0.0.1:9"], "expected the metrics of a ProactiveLLM server"),
        (["--source", str(tmp_path / "none.txt")], "expected a text file"),
        (["--source", str(tmp_path / "empty.txt")], "expected at least one source"),
    ):
        assert run(monkeypatch, *arguments) == 2
        assert said in capsys.readouterr().err


def test_the_state_is_what_metrics_say(live: Live) -> None:
    now = asyncio.run(state(f"ws://127.0.0.1:{live.port}"))
    assert (now.slots, now.in_use) == (SLOTS, 0)
    assert now.memory is not None
    assert now.memory > 1 << 24
