"""`evaluate` and `calibrate` as commands, on a tiny checkpoint and on a server: the files that they leave, and what they refuse."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from errors import ProactiveError
from evaluation.store import read_records
from tests.backbones.test_loading import hearing, save
from tests.server.live import Live, wait_until
from tests.training.heard import tones

LINES = ("the dog sat down\tder Hund", "where the cats were\tdie Katzen", "and the birds sang there\tund sie sangen", "one two three\teins")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "few.tsv"
    file.write_text("\n".join(LINES) + "\n")
    return file


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = save(tmp_path / "mine")
    echo = {"prompt": "Again: ", "max_output_tokens": 6}
    (folder / "proactivellm.json").write_text(json.dumps({"tasks": {"echo": echo}}))
    return folder


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_evaluate_leaves_items_a_summary_and_a_page_and_goes_on_where_it_was(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    flags = ("--model", model, "--task", "echo", "--data", data, "--out", out, "--dtype", "float32", "--slots", 3)
    invoke("evaluate", *flags, "--head", "entropy", "--sweep", "0.1,0.4", "--baseline", "full", "--limit", 2)
    assert {(r.policy, r.id) for r in read_records(out)} == {
        (policy, f"few:{line}") for policy in ("entropy@0.1", "entropy@0.4", "full@0") for line in (1, 2)
    }
    before = (out / "items.jsonl").read_bytes()
    said = invoke("evaluate", *flags, "--head", "entropy", "--sweep", "0.1,0.4", "--baseline", "all", "--signal-test", 3)
    assert "report.html" in said
    # A longer run keeps what it has.
    assert (out / "items.jsonl").read_bytes().startswith(before)
    summary = json.loads((out / "summary.json").read_text())
    assert summary["items"] == 4
    assert {policy["curve"] for policy in summary["policies"]} >= {"entropy", "full", "wait_k", "random"}
    assert {row["name"] for row in summary["signal"]["rows"]} >= {"entropy", "attention", "phi alone"}
    assert "<svg" in (out / "report.html").read_text()
    matched = summary["matched"]
    assert set(matched) == {"entropy@0.1", "entropy@0.4"}
    assert all(label.startswith("random@") for label in matched.values())


def test_calibrate_then_evaluate_by_tier(model: Path, data: Path, tmp_path: Path) -> None:
    said = invoke(
        "calibrate", "--model", model, "--task", "echo", "--data", data, "--head", "attention", "--target", "rco=0.9", "--dtype", "float32"
    )
    assert "attention heads" in said
    assert re.search(r"attention.*medium.*rco 0\.9", said)
    out = tmp_path / "report"
    invoke("evaluate", "--model", model, "--task", "echo", "--data", data, "--out", out, "--head", "attention", "--dtype", "float32")
    (tier,) = json.loads((out / "summary.json").read_text())["tiers"]
    assert tier["policy"] == "attention:medium"
    assert tier["target"]["target"] == 0.9


def test_thresholds_to_begin_with_are_of_one_head(model: Path, data: Path) -> None:
    where = ("--model", model, "--task", "echo", "--data", data, "--dtype", "float32", "--keep-heads", "--threshold", 0.02)
    assert re.search(r"entropy.*medium.*rco 0\.9", invoke("calibrate", *where, "--head", "entropy", "--target", "rco=0.9"))
    with pytest.raises(ProactiveError, match="expected one head with thresholds to begin with; got entropy, mass"):
        invoke("calibrate", *where, "--head", "entropy", "--head", "mass")


def test_tiers_of_a_model_that_hears_come_of_recordings(tmp_path: Path) -> None:
    listen = {"prompt": "", "max_output_tokens": 4}
    folder = hearing(tmp_path / "ears", {"unit": "ms", "decision_ms": 400, "tasks": {"listen": listen}})
    spoken = tones(tmp_path)
    shared = ("--task", "listen", "--data", spoken, "--limit", 4, "--dtype", "float32")
    said = invoke("calibrate", "--model", folder, *shared, "--head", "entropy", "--target", "low:rco=0.7", "--target", "high:rco=0.95")
    assert re.search(r"entropy.*low.*rco 0\.7", said)
    tiers = json.loads((folder / "tiers.json").read_text())["listen"]["entropy"]
    assert tiers["low"]["calibrated"]
    assert tiers["low"]["threshold"] <= tiers["high"]["threshold"]
    assert 0 < tiers["low"]["achieved"] <= tiers["high"]["achieved"] <= 1
    out = tmp_path / "report"
    invoke("evaluate", "--model", folder, *shared, "--out", out, "--tier", "high")
    assert {record.source_length for record in read_records(out)} <= {800, 1200}  # ms


def test_evaluate_a_server_with_a_pace(data: Path, tmp_path: Path) -> None:
    with Live() as live:
        wait_until(lambda: live.worker.ready)
        out = tmp_path / "report"
        invoke("evaluate", "--server", live.url, "--task", "echo", "--data", data, "--out", out, "--tier", "low", "--pace", 200)
    assert all(record.clock for record in read_records(out))
    (policy,) = json.loads((out / "summary.json").read_text())["policies"]
    assert policy["figures"]["pace"]["first_write_p95"]["value"] > 0
    assert policy["figures"]["ms"]["AL"]["value"] is not None


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (("--pace", "4"), "expected --server with --pace"),
        (("--server", "ws://127.0.0.1:9", "--signal-test", "3"), "no --signal-test with --server"),
        (("--server", "ws://127.0.0.1:9"), "expected a ProactiveLLM server"),
        (("--sweep", "a,b"), "expected --sweep 8 or"),
        (("--baseline", "luck"), "baseline to be one of"),
        (("--head", "luck", "--sweep", "0.5"), "head to be one of"),
        (("--tier", "low", "--head", "mass"), "tier"),
    ],
)
def test_what_cannot_be_run_is_told(model: Path, data: Path, tmp_path: Path, flags: tuple[str, ...], why: str) -> None:
    where = () if "--server" in flags else ("--model", str(model), "--dtype", "float32")
    with pytest.raises(ProactiveError, match=why):
        invoke("evaluate", "--task", "echo", "--data", data, "--out", tmp_path / "out", *where, *flags)
