"""`proactivellm demo`: a server on a model, a text streamed through the client, shown live. Knows commands, not their insides."""

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
from dataclasses import dataclass, field
from typing import Any

from errors import CheckpointError


@dataclass(frozen=True)
class Demo:
    """What is shown: a task of a model, and the text that is streamed. options: more of session.start."""

    model: str
    task: str
    source: str
    options: dict[str, Any] = field(default_factory=dict)

    def text(self) -> io.StringIO:
        """The text that is streamed."""
        return io.StringIO(self.source)


DEMOS = {
    "translate": Demo(
        "checkpoints/translate-en-de",
        "translate",
        "It was raining when I left the house this morning. I had forgotten my umbrella, so I went back to get it. "
        "When I got to the station, the train had already left. I had to wait an hour for the next one.",
    ),
    "answer": Demo(
        "checkpoints/answer",
        "answer",
        "The old mill by the river was built in 1846 by a baker called Thomas Reed. His daughter Anna ran it for thirty years and sold it "
        "to the town. Today there is a museum in it, which is open from April to October. In the yard behind it there are two donkeys "
        "and a small garden.",
        {"inputs": {"question": "Who built the old mill by the river?"}},
    ),
}


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
