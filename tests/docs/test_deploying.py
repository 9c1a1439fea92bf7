"""The script of deploy/README.md, without Docker: it leaves keys that the server takes, each with its rights, and a password."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from server.keys import Keys
from tests.docs.pages import ROOT, blocks


def test_the_script_makes_the_secrets(tmp_path: Path) -> None:
    bash, openssl = shutil.which("bash"), shutil.which("openssl")
    if bash is None or openssl is None:
        pytest.skip("bash or openssl is not installed")
    (script,) = blocks(ROOT / "deploy/README.md")
    *lines, last = script.text.splitlines()
    assert last.startswith("docker compose up")
    (tmp_path / "deploy").mkdir()
    (tmp_path / ".venv").symlink_to(Path(sys.prefix))
    done = subprocess.run([bash, "-e", "-o", "pipefail", "-c", "\n".join(lines)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    secrets = tmp_path / "deploy/secrets"
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    keys = Keys(secrets / "api-keys.toml")
    app, metrics = keys.find(done.stdout.strip()), keys.find((secrets / "metrics-key").read_text())
    assert app is not None
    assert metrics is not None
    assert (app.name, metrics.name) == ("app", "metrics")
    assert (app.key.max_sessions, metrics.key.max_sessions) == (None, 0)
    assert len((secrets / "grafana-password").read_text().strip()) == 32
