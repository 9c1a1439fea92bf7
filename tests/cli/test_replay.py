"""Replaying recorded sessions: the same messages give the same target, another head another one, and both are shown with their times."""

import asyncio
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cli import main
from cli.replay_session import FIGURES, Run, as_recorded, figures, plan, run_again, side_by_side
from server.recording import Recording, read_recording
from tests.server.hearing import hearing, pieces
from tests.server.hearing import neighbour as listen
from tests.server.live import END, TEXT, Live, append, neighbour, send, session, until, wait_until


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with Live(record=tmp_path_factory.mktemp("recordings")) as server:
        wait_until(lambda: server.worker.ready)
        yield server


def newest(live: Live) -> Path:
    folder = live.config.record
    assert folder is not None
    files = {read_recording(file).head.at: file for file in folder.iterdir()}
    return files[max(files)]


def again(live: Live, recording: Recording, **changes: str | float | None) -> Run:
    run = Run("again")
    options, messages = plan(recording, **{"head": None, "tier": None, "threshold": None, "model": None, **changes})  # type: ignore[arg-type]
    asyncio.run(run_again(f"ws://127.0.0.1:{live.port}", options, messages, run, speed=0))
    return run


def whole(live: Live) -> Recording:
    asyncio.run(neighbour(live))
    wait_until(lambda: any(line.server is not None and line.server.type == "done" for line in read_recording(newest(live)).lines))
    return read_recording(newest(live))


def test_the_same_messages_give_the_same_writes(live: Live) -> None:
    recording = whole(live)
    ours, theirs = as_recorded(recording), again(live, recording)
    assert theirs.trace.output == ours.trace.output
    assert (theirs.head, theirs.threshold) == (ours.head, ours.threshold) == ("entropy", 0.4)
    assert len(ours.trace.sent) == len(theirs.trace.sent) == len(TEXT) + 1


def test_another_head_waits_as_it_does(live: Live) -> None:
    recording = whole(live)
    theirs = again(live, recording, head="full")
    assert theirs.head == "full"
    _, _, writes = theirs.trace.output
    assert {phi for _, phi, _, _ in writes} == {len(TEXT)}
    low = again(live, recording, tier="low")
    assert low.threshold == 0.1


def test_updates_are_replayed_unless_the_policy_is_another(live: Live) -> None:
    async def act() -> None:
        async with session(live) as ws:
            await send(ws, append("dog "), {"type": "session.update", "threshold": -1.0}, append("cat "), END)
            await until(ws, "done")

    asyncio.run(act())
    wait_until(lambda: any(line.server is not None and line.server.type == "done" for line in read_recording(newest(live)).lines))
    recording = read_recording(newest(live))
    assert again(live, recording).trace.output == as_recorded(recording).trace.output
    _, messages = plan(recording, head="full", tier=None, threshold=None, model=None)
    assert [message.type for _, message in messages] == ["source.append", "source.append", "source.end"]


def test_a_client_that_left_leaves_once_it_is_answered(live: Live) -> None:
    async def act() -> None:
        async with session(live, head="full") as ws:
            await send(ws, append("dog "), append("cat "))
            await until(ws, "read")

    asyncio.run(act())
    wait_until(lambda: bool(read_recording(newest(live)).lines[-1].left))
    run = again(live, read_recording(newest(live)))
    done = run.trace.done
    assert done is not None
    assert (done.reason, done.usage.source_units) == ("cancelled", 2)


def test_the_command_shows_both_with_phi_and_times(live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    whole(live)
    file = str(newest(live))
    monkeypatch.setattr(
        sys, "argv", ["proactivellm", "replay", file, "--url", f"ws://127.0.0.1:{live.port}", "--head", "full", "--speed", "0"]
    )
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code in (0, None)
    out = capsys.readouterr().out
    for part in ("recorded · entropy", "again · full", *FIGURES):
        assert part in out
    assert out.count(" s") >= 6  # times on both sides


def test_what_is_no_recording_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps({"recording": 9}))
    monkeypatch.setattr(sys, "argv", ["proactivellm", "replay", str(tmp_path / "a.jsonl")])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 2
    assert "expected a recording at" in capsys.readouterr().err


def test_what_a_terminal_would_obey_is_shown(tmp_path: Path) -> None:
    evil, usage = "a\x1b]0;owned\x07[red]b", {"prompt_tokens": 1, "source_tokens": 1, "source_units": 1, "target_tokens": 1, "probes": 1}
    done = {"type": "done", "seq": 2, "text": evil, "reason": "end", "usage": usage, "rco": None, "ail": None}
    lines = [
        {"recording": 1, "session": "ab", "at": "2026-01-01T00:00:00Z", "start": {"type": "session.start", "task": "echo"}},
        {"at": 0.0, "chosen": {"model": "m", "head": evil, "threshold": 0.1}},
        {"at": 0.1, "client": append("dog ")},
        {"at": 0.2, "server": {"type": "write", "seq": 1, "text": evil, "index": 0, "count": 1, "phi": 1, "n": 1}},
        {"at": 0.3, "server": done},
    ]
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)) + "\n")
    run, out = as_recorded(read_recording(file)), io.StringIO()
    Console(file=out, width=120).print(side_by_side(run, Run("again"), 120))
    assert out.getvalue().count(r"a\x1b]0;owned\x07[red]b") == 2
    assert "\x1b" not in out.getvalue()


def test_a_session_without_a_write_has_dashes() -> None:
    run = Run("recorded")
    assert figures(run) == ("-",) * len(FIGURES)
    out = io.StringIO()
    Console(file=out, width=80).print(side_by_side(run, run, 80))
    assert "first write" in out.getvalue()


def test_sound_is_sent_again_sample_by_sample(tmp_path: Path) -> None:
    with hearing(record=tmp_path) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(listen(live))
        recording = read_recording(next(tmp_path.iterdir()))
        ours, theirs = as_recorded(recording), again(live, recording)
    assert theirs.trace.output == ours.trace.output
    assert len(ours.trace.sent) == len(theirs.trace.sent) == len(pieces()) + 1
