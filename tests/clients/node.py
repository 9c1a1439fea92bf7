"""Where Node is, and how a test runs it. Knows no test."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def node() -> list[str]:
    """Node with a global WebSocket, which is there from 22 on and behind a flag in 20. Skips the test where there is none."""
    found = shutil.which("node")
    if found is None:
        pytest.skip("Node is not installed")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        pytest.skip(f"expected Node 20 or newer, got {version.strip()}")
    return [found, "--experimental-websocket", "--no-warnings"]


def run(*command: str) -> str:
    """Its standard output. What it says on a failure becomes the test's message."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=60, env={**os.environ, "NO_COLOR": "1"})
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
