"""The server's setting `simuleval`: what it takes, and where it is refused."""

import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from cli import main
from server.config import read_config


def test_a_task_or_a_whole_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "server.toml"
    file.write_text('[simuleval]\ntask = "ask"\ninputs = {question = "Who?"}\n')
    config = read_config(file)
    assert config.simuleval is not None
    assert (config.simuleval.task, config.simuleval.inputs) == ("ask", {"question": "Who?"})
    monkeypatch.setenv("PROACTIVELLM_SIMULEVAL", '{"task": "ask", "tier": "low"}')
    config = read_config()
    assert config.simuleval is not None
    assert (config.simuleval.task, config.simuleval.tier) == ("ask", "low")
    config = read_config(file, simuleval="words")
    assert config.simuleval is not None
    assert config.simuleval.task == "words"


@pytest.mark.parametrize("value", ["{", '{"tier": "low"}', '{"task": "a", "tire": "low"}', '{"task": "a", "tier": "b", "threshold": 1}', 3])
def test_what_is_no_start_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="simuleval"):
        read_config(simuleval=value)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])  # noqa: S104
def test_beyond_loopback_it_does_not_start(host: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["proactivellm", "serve", "--simuleval", "words", "--insecure", "--host", host])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 2
    assert "loopback" in capsys.readouterr().err
