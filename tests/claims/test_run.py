"""Parts on tiny models: thresholds from development data, numbers as the engine's, and a run that goes on."""

from pathlib import Path
from typing import Any

import pytest

from backbones.checkpoint import Tier
from backbones.loading import Checkpoint
from claims import run as module
from claims.measured import row
from claims.parts import Aim, Part
from claims.results import begun, publish, read_all
from claims.run import run
from errors import InvalidValueError
from evaluation.backends import OnEngine
from evaluation.calibration import latency
from evaluation.policies import Policy
from evaluation.progress import Progress
from tests import tiny

SILENT = Progress(lambda *_: None, lambda: None)
WORDS = ["the", "dog", "sat", "down", "where", "the", "cats", "were", "and", "birds", "sang", "one", "two"]
AIM = Aim("as-full", "rco", -0.3, Policy("full", 0.0))
PART = Part(
    "echo", ("{data}/%s.jsonl",), ("f1",), ("RCO", "LAAL"), dev_items=4, grid=6, heads=("entropy", "attention"), aims=(AIM,),
    tiers=("entropy",), baselines=("full", "wait_k", "oracle"),
)  # fmt: skip


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split, count in (("test", 6), ("dev", 4)):
        lines = [f'{{"source": "{" ".join(WORDS[i : i + 5 + i % 3])}", "target": "a {WORDS[i]}"}}' for i in range(count)]
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines))
    return tmp_path


def checkpoint() -> Checkpoint:
    plain = tiny.checkpoint()
    tier = Tier(threshold=0.4, target=0.5, achieved=0.5, calibrated=True)
    tiers = {"echo": {"entropy": {"low": tier, "other": Tier(threshold=0.2, calibrated=False)}}}
    return type(plain)(**{**vars(plain), "tiers": tiers})


def test_a_part_is_run_and_holds_what_the_engine_does(data: Path, tmp_path: Path) -> None:
    path = run("h9", PART, checkpoint(), data, tmp_path / "work", SILENT)
    publish(path, tmp_path / "results")
    found = read_all(tmp_path / "results")["h9"]
    assert found.header.development == ("dev.jsonl",)
    assert [(p.curve, p.purpose) for p in found.header.points[:3]] == [
        ("entropy", "as-full"),
        ("attention", "as-full"),
        ("entropy", "tier"),
    ]
    assert {p.tier for p in found.header.points} == {None, "low"}
    assert not any(p.curve == "oracle" for p in found.header.points)  # no item has one
    jobs = [(point.policy, example) for point in found.header.points for example in PART.test(data)]
    records = {(record.policy, record.id): record for record in OnEngine(checkpoint(), "echo").run(jobs)}
    for line in found.lines:
        for point, numbers in zip(found.header.points, line.rows, strict=True):
            assert numbers == pytest.approx(row(records[point.policy.label, line.id], PART.latencies, PART.metrics), abs=1e-5)


def test_thresholds_reach_their_latency_on_development_data(data: Path, tmp_path: Path) -> None:
    header = begun(run("h9", PART, checkpoint(), data, tmp_path / "work", SILENT))
    assert header is not None
    point = header.points[0]
    assert point.target == pytest.approx(0.7)
    records = list(OnEngine(checkpoint(), "echo").run([(point.policy, example) for example in PART.dev(data)]))
    assert latency(records, "rco") == pytest.approx(0.7, abs=0.2)  # four items


def test_a_run_goes_on_with_the_thresholds_that_it_was_begun_with(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run("h9", PART, checkpoint(), data, tmp_path / "whole", SILENT).read_text().splitlines()
    path = tmp_path / "cut" / "h9.jsonl"
    path.parent.mkdir()
    path.write_text("\n".join(whole[:3]) + '\n{"id":')

    def refuse(*_: Any) -> None:
        raise AssertionError("thresholds were chosen again")

    monkeypatch.setattr(module, "points", refuse)
    assert sorted(run("h9", PART, checkpoint(), data, path.parent, SILENT).read_text().splitlines()) == sorted(whole)
    with pytest.raises(InvalidValueError, match="hold the run"):
        run("h9", PART, checkpoint(), data, path.parent, SILENT, limit=3)


def test_probes_are_kept_with_their_scores(data: Path, tmp_path: Path) -> None:
    path = run("h0-x", Part("echo", ("{data}/%s.jsonl",), probes=True), checkpoint(), data, tmp_path / "work", SILENT)
    before = path.read_bytes()
    publish(path, tmp_path / "results")
    found = read_all(tmp_path / "results")["h0-x"]
    assert found.header.columns[:3] == ("phi alone", "agrees", "entropy")
    assert all(len(numbers) == len(found.header.columns) for line in found.lines for numbers in line.rows)
    assert {numbers[0] for numbers in found.lines[0].rows} == set(range(1, 6))
    path.write_bytes(before[: len(before) // 2])
    assert run("h0-x", Part("echo", ("{data}/%s.jsonl",), probes=True), checkpoint(), data, path.parent, SILENT).read_bytes() == before
