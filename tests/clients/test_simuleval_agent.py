"""SimulEval itself (PyPI, local mode) drives the agent against a real server; its log must equal what plain websocket sessions say."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.server.delays import record, sentences
from tests.server.live import Live, wait_until

pytest.importorskip("simuleval")
AGENT = Path(__file__).parents[2] / "clients" / "simuleval_agent.py"
START = {"task": "words", "threshold": 2.0, "max_output_tokens": 24}  # lags behind by two words, and ends some sentences early
FLAGS = ["--task", "words", "--threshold", "2", "--max-output-tokens", "24"]


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def simuleval(live: Live, folder: Path, sources: Sequence[str], *flags: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own: its warnings and arguments are its own affair."""
    source, target, out = folder / "source.txt", folder / "target.txt", folder / "out"
    source.write_text("".join(f"{text}\n" for text in sources))
    target.write_text("reference\n" * len(sources))
    files = ["--source", str(source), "--target", str(target), "--output", str(out)]
    command = [sys.executable, "-m", "simuleval.cli", "--agent", str(AGENT), "--url", f"ws://127.0.0.1:{live.port}", *files, *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env={**os.environ, "NO_PROXY": "*"})


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "out" / "instances.log").read_text().splitlines()]


def test_its_delays_are_the_phi_of_the_event_that_completed_each_word(live: Live, tmp_path: Path) -> None:
    sources = sentences()
    recorded = record(live, sources, START)
    ran = simuleval(live, tmp_path, sources, *FLAGS)
    assert ran.returncode == 0, ran.stderr
    heard = [list(zip(line["prediction"].split(), line["delays"], strict=True)) for line in log(tmp_path)]
    assert heard == recorded
    assert len(heard) == 50
    # Neither batch nor a copy of the source: words at many delays, and targets that ended before their source did.
    lengths = [len(source.split()) for source in sources]
    assert sum(delay < length for words, length in zip(heard, lengths, strict=True) for _, delay in words) > 100
    assert sum(words[-1][1] < length for words, length in zip(heard, lengths, strict=True)) > 10
    assert (tmp_path / "out" / "scores.tsv").read_text().startswith("BLEU\tLAAL\tAL")
    assert live.engine.free_slots == live.engine.capacity.slots


@pytest.mark.parametrize(
    ("source", "flags", "told"),
    [
        ("a dog", ["--task", "sing"], "unknown_task"),
        ("a dog", ["--task", "ask"], "missing_input"),
        ("far away " * 90, ["--task", "ask", "--input", "question=Who?", "--threshold", "2"], "context"),
    ],
)
def test_what_the_server_cannot_do_stops_the_evaluation(live: Live, tmp_path: Path, source: str, flags: list[str], told: str) -> None:
    ran = simuleval(live, tmp_path, [source], *flags)
    assert ran.returncode != 0
    assert told in ran.stderr
    wait_until(lambda: live.engine.free_slots == live.engine.capacity.slots)
