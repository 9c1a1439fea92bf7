"""What bad input gets, in whole runs: each is told in one line before the first step, or stops the run and loses nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState
from rich.console import Console

from errors import InvalidValueError
from tests.training.test_state import no_room
from tests.training.test_trainer import QUIET, config, losses
from training import data, state
from training.run import train

ROW = '{"source": "one two", "target": "eins zwei"}\n'


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(data, "WINDOW", 24)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.tsv", b"one\teins\ntwo\n", "a.tsv, line 2: expected source<TAB>target; got 1 field"),
        ("a.tsv", b"one\teins\ntwo\t \n", "a.tsv, line 2: expected text on both sides; got an empty target"),
        ("a.tsv", b"one\teins\n \tzwei\n", "a.tsv, line 2: expected text on both sides; got an empty source"),
        ("a.tsv", b"one\teins\nf\xfcnf\tfive\n", r"a.tsv, line 2: expected UTF-8; got byte b'\\xfc'"),
        ("a.csv", b"source,target\none,eins\ntwo,\n", "a.csv, line 3: expected a target; got none"),
        ("a.csv", b"source,target\none,eins\n,zwei\n", "a.csv, line 3: expected a source; got none"),
        (
            "a.jsonl",
            ROW.encode() + b'{"source": "two"}\n',
            "a.jsonl, line 2: expected an object with source or audio, target .*either target or targets",
        ),
        ("a.jsonl", ROW.encode() + b'{"source": "two", "target": " "}\n', "a.jsonl, a:2: expected a target; got none"),
        ("a.jsonl", ROW.encode() + b'{"source": "", "target": "zwei"}\n', "a.jsonl, line 2: expected an object .*at least 1 character"),
        ("a.jsonl", ROW.encode() + b'{"source": " \\n", "target": "zwei"}\n', "a.jsonl, a:2: expected a source with at least one word"),
        ("a.jsonl", ROW.encode() + b'{"source": "two", "target": "z\xff"}\n', r"a.jsonl, line 2: expected UTF-8; got byte b'\\xff'"),
        (
            "a.jsonl",
            ROW.encode() + b'{"source": "two \\ud800", "target": "zwei"}\n',
            "a.jsonl, line 2: expected an object with source or audio, .*unexpected end of hex escape",
        ),
        (
            "a.jsonl",
            ROW.encode() + json.dumps({"source": "long " * 200, "target": "lang"}).encode(),
            "a.jsonl, a:2: expected source with its prompt within the model's 128 positions; got [0-9]+ tokens",
        ),
        (
            "a.jsonl",
            ROW.encode() + json.dumps({"source": "long", "target": "lang " * 200}).encode(),
            "a.jsonl, a:2: expected header and target within the model's 128 positions; got [0-9]+ tokens",
        ),
    ],
)
def test_a_bad_row_is_named_before_the_first_step(tmp_path: Path, name: str, content: bytes, why: str) -> None:
    path, out = tmp_path / name, tmp_path / "run"
    path.write_bytes(content)
    with pytest.raises(InvalidValueError, match=why):
        train(config(out, path, run={"steps": 1}), QUIET)
    assert state.latest(out) is None
    assert losses(out) == []


def test_a_run_that_has_no_checkpoint_yet_goes_on_with_mended_data(tmp_path: Path) -> None:
    path, out = tmp_path / "a.jsonl", tmp_path / "run"
    path.write_text(ROW + '{"source": "two", "target": " "}\n')
    with pytest.raises(InvalidValueError, match="got none"):
        train(config(out, path, run={"steps": 1}), QUIET)
    path.write_text(ROW + '{"source": "two", "target": "zwei"}\n')
    train(config(out, path, run={"steps": 1}), QUIET)
    assert len(losses(out)) == 1
    path.write_text(ROW)
    with pytest.raises(InvalidValueError, match=r"data_sha256\.0"):
        train(config(out, path, run={"steps": 1}), QUIET)


def test_numbers_that_the_disk_does_not_take_stop_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        """A board on a full disk, which fails at each write."""

        def add_scalar(self, *_: Any) -> None:
            raise OSError(28, "No space left on device")

        close = add_scalar

    pairs = tmp_path / "a.jsonl"
    pairs.write_text(ROW)
    monkeypatch.setattr("training.progress._board", lambda *_: Full())
    with (tmp_path / "said").open("w") as said:
        train(config(tmp_path / "run", pairs, run={"steps": 3}), Console(file=said))
    assert (tmp_path / "said").read_text().count("expected to write the run's numbers: [Errno 28] No space left") == 1
    assert len(losses(tmp_path / "run")) == 3
    assert state.latest(tmp_path / "run") == tmp_path / "run" / "step-00000003"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    pairs = tmp_path / "a.jsonl"
    pairs.write_text(ROW)
    with no_room(10), pytest.raises(InvalidValueError, match=r"expected a folder that can be written at .*run: .*File too large"):
        train(config(tmp_path / "run", pairs), QUIET)
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidValueError, match=r"expected a folder that can be written at .*file/run: .*Not a directory"):
        train(config(tmp_path / "file" / "run", pairs), QUIET)
