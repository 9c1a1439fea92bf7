"""Keys at the command line: made once, served with, streamed with."""

import io
import sys
from pathlib import Path

import pytest

from cli import main
from server.config import ServerConfig
from tests.server.live import Live, wait_until


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["proactivellm", *arguments])
    with pytest.raises(SystemExit) as left:
        main.main()
    return left.value.code if isinstance(left.value.code, int) else 0


def test_a_key_is_made_and_a_stream_needs_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    assert run(monkeypatch, "make-key", "phone", "--file", str(file)) == 0
    key, note = capsys.readouterr()
    assert "[phone]" in note
    assert key.strip() not in note + file.read_text()
    assert run(monkeypatch, "make-key", "phone", "--file", str(file)) == 2
    assert "does not hold yet" in capsys.readouterr().err

    monkeypatch.delenv("PROACTIVELLM_API_KEY", raising=False)
    with Live(api_keys_file=file) as live:
        wait_until(lambda: live.worker.ready)
        stream = ["stream", "-", "--url", f"ws://127.0.0.1:{live.port}", "--task", "echo", "--rate", "0"]
        for given, variable, code in (([], "", 2), (["--api-key", key.strip()], "", 0), ([], key, 0)):
            monkeypatch.setenv("PROACTIVELLM_API_KEY", variable)
            monkeypatch.setattr(sys, "stdin", io.StringIO("The dog sat\n"))
            assert run(monkeypatch, *stream, *given) == code
            out, error = capsys.readouterr()
            assert ("3 words read" in out) == (code == 0)
            assert ("answered 401" in error) == (code == 2)


def test_any_setting_can_be_a_flag(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    seen: list[ServerConfig] = []
    monkeypatch.setattr("server.serve.serve", lambda config: seen.append(config) or 0)
    flags = ["--set", "session_seconds=60", "--set", "allow_origin=https://a.example,https://b.example", "--set", "port=1", "--port", "2"]
    assert run(monkeypatch, "serve", *flags) == 0
    (config,) = seen
    assert (config.session_seconds, config.allow_origin, config.port) == (60.0, ["https://a.example", "https://b.example"], 2)
    for wrong, told in (("session_seconds", "expected --set name=value"), ("sesion_seconds=1", "expected no field of this name")):
        assert run(monkeypatch, "serve", "--set", wrong) == 2
        assert told in capsys.readouterr().err
