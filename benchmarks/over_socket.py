"""What is measured against a running server, in a process of its own. Knows the client and the command; knows no engine internals."""

import asyncio
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import psutil
from proactivellm_client import connect

from backbones.loading import Checkpoint
from benchmarks.rows import drain, engine, seconds, text
from engine.actions import Append, Done, End
from engine.request import Request

WORDS, TOKENS, SESSIONS, LENGTH = 24, 48, 16, 256
# A word written for every word read, and no end before the source's: the same number of tokens on both sides.
START = {"task": "translate", "head": {"name": "fixed_chunk", "n": 1, "r": 1}, "threshold": 1.0, "max_output_tokens": TOKENS}


@contextmanager
def serving(folder: Path, kv_memory: int, threads: int) -> Iterator[tuple[str, psutil.Process]]:
    """A server on a free port, ready."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {"model": folder, "port": port, "kv-memory": kv_memory, "slot-length": LENGTH, "threads": threads, "log-level": "error"}
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    process = subprocess.Popen([sys.executable, "-m", "cli.main", "serve", *flags], env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    try:
        _wait(f"http://127.0.0.1:{port}/readyz", process)
        yield f"ws://127.0.0.1:{port}", psutil.Process(process.pid)
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
    raise RuntimeError(f"expected the server to come up, it left with code {process.returncode}")


def socket_share(checkpoint: Checkpoint, folder: Path, threads: int, rounds: int = 3) -> dict[str, float]:
    """Tokens/s of 16 sessions over websockets against the engine alone in this process."""
    running = engine(checkpoint, slots=SESSIONS, length=LENGTH)
    head = START["head"]
    assert isinstance(head, dict)

    def alone() -> int:
        for _ in range(SESSIONS):
            session = running.open(
                Request("translate", head="fixed_chunk", head_params={"n": 1, "r": 1}, threshold=1.0, max_output_tokens=TOKENS)
            )
            for word in text(WORDS):
                session.send(Append(word))
            session.send(End())
        return sum(event.usage.target_tokens for _, event in drain(running) if isinstance(event, Done))

    memory = (SESSIONS * LENGTH + 1) * checkpoint.backbone.shape.bytes_per_row()
    rates: dict[str, list[float]] = {"engine": [], "socket": []}
    with serving(folder, memory, threads) as (url, _):
        for number in range(rounds + 1):
            for name, act in (("engine", alone), ("socket", lambda: asyncio.run(_crowd(url)))):
                tokens = 0

                def once(act: object = act) -> None:
                    nonlocal tokens
                    tokens = act()  # type: ignore[operator]

                took = seconds(once)
                if number:
                    rates[name].append(tokens / took)
    ours, reference = median(rates["socket"]), median(rates["engine"])
    return {"ratio": ours / reference, "socket_tokens_s": ours, "engine_tokens_s": reference}


async def _crowd(url: str) -> int:
    return sum(await asyncio.gather(*(_one(url, WORDS) for _ in range(SESSIONS))))


async def _one(url: str, words: int, tokens: int = TOKENS) -> int:
    async with connect(url).session(**{**START, "max_output_tokens": tokens}) as session:  # type: ignore[arg-type]  # fields by name
        for word in text(words):
            await session.send(word)
        await session.end()
        await session.text()
        assert session.done is not None
        return session.done.usage.target_tokens


def memory_growth(checkpoint: Checkpoint, folder: Path, threads: int, first: int = 500, last: int = 5000) -> dict[str, float]:
    """Resident memory of the server after `last` sessions opened and closed, against after `first`."""
    slots = (SESSIONS * LENGTH + 1) * checkpoint.backbone.shape.bytes_per_row()

    async def some(url: str, count: int) -> None:
        left = iter(range(count))

        async def lane() -> None:
            for _ in left:
                await _one(url, words=1, tokens=1)

        await asyncio.gather(*(lane() for _ in range(SESSIONS)))

    with serving(folder, slots, threads) as (url, process):
        asyncio.run(some(url, first))
        before = process.memory_info().rss
        asyncio.run(some(url, last - first))
        after = process.memory_info().rss
    return {"ratio": after / before, "first_mib": before / (1 << 20), "last_mib": after / (1 << 20)}
