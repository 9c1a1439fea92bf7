"""The command itself: what its errors look like to somebody who typed it."""

import sys

import pytest

from cli import main


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["proactivellm", *arguments])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert isinstance(left.value.code, int)
    return left.value.code


def test_a_command_whose_packages_are_not_installed_says_which_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "evaluation.store", None)  # as if it could not be imported
    code = run(monkeypatch, "evaluate", "--task", "t", "--data", "d.tsv", "--out", "o")
    assert code == 2
    assert "pip install '.[evaluation]'" in capsys.readouterr().err


def test_a_module_of_ours_that_is_missing_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "server.config", None)
    monkeypatch.setattr(sys, "argv", ["proactivellm", "serve"])
    with pytest.raises(ModuleNotFoundError):
        main.main()


def test_every_command_is_explained(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        "serve",
        "stream",
        "demo",
        "evaluate",
        "calibrate",
        "score-delays",
        "train",
        "convert-whisper",
        "make-key",
        "replay",
        "load",
    ):
        assert run(monkeypatch, command, "--help") == 0
        assert len(capsys.readouterr().out) > 200
