"""`proactivellm demo`: a server on the default model, a text streamed through the client, shown live. Knows commands, not their insides."""

import io
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from errors import CheckpointError

TASK = "repeat"
TEXT = (
    "The museum of the old town is open every day but Monday. From Tuesday to Saturday it is open from nine to six. "
    "On Sundays it opens an hour later and closes at four in the afternoon. Children and students pay half the price."
)


def text() -> io.StringIO:
    """The text that is streamed."""
    return io.StringIO(TEXT)


@contextmanager
def serving(model: str) -> Iterator[str]:
    """A server in a process of its own, on a free port of loopback; its URL once it is ready. Raises CheckpointError if it leaves."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "cli.main", "serve", "--model", model, "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, env={**os.environ, "PROACTIVELLM_KV_MEMORY": "256MiB"})
    try:
        _wait(f"http://127.0.0.1:{port}/readyz", process)
        yield f"ws://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _wait(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310 (loopback)
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise CheckpointError(f"expected the server to come up, it left with code {process.returncode}")
