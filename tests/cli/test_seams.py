"""`seams` as a command, on a tiny checkpoint: what it prints and what it refuses."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from errors import UnknownNameError
from tests.backbones.test_loading import save
from tests.engine import copyist
from tests.evaluation.test_seams import with_model


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    folder = save(tmp_path / "mine")
    echo = {"prompt": "", "gate": "word", "forbid_end_before_source_end": True}
    (folder / "proactivellm.json").write_text(json.dumps({"tasks": {"echo": echo}}))
    data = tmp_path / "pairs.tsv"
    data.write_text("".join(f"{text}\t{text}\n" for i in range(40) for text in [copyist.text(4, sentence=4, start=4 * i)]))
    return ["seams", "--model", str(folder), "--data", str(data), "--dtype", "float32", "--slot-length", "480", "--head", "wait_k"]


def test_the_table_has_the_metric_and_the_length_with_an_interval(flags: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with_model(monkeypatch, copyist.next_token)  # seconds, not minutes
    result = CliRunner().invoke(app, [*flags, "--task", "echo", "--threshold", "2"], env={"COLUMNS": "200"}, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "wait_k@2:" in result.output
    rows = [line for line in result.output.splitlines() if "[" in line]
    assert len(rows) == 2
    assert "chrf" in rows[0]
    assert "length ratio" in rows[1]


@pytest.mark.parametrize("more", [("--task", "other"), ("--task", "echo", "--metric", "none")])
def test_unknown_names_are_refused(flags: list[str], more: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, [*flags, *more])
    assert isinstance(result.exception, UnknownNameError)
