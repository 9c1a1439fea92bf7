"""A real process that is told to stop: clients are told, sessions finish, and it ends with 0."""

import asyncio
import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from server.wire import SUBPROTOCOL
from tests.server.live import END, START, Live, append, receive, send, until, wait_until

ROOT = Path(__file__).parents[2]
PROCESS = """
import sys
from server import serve
from server.app import create_app
from server.config import ServerConfig
from tests import tiny
serve.create_app = lambda config: create_app(config, lambda *_: tiny.checkpoint())
sys.exit(serve.serve(ServerConfig(port=0, kv_memory=10**6, slot_length=128, log_format="json", resume_seconds=30, grace_seconds={grace})))
"""


class Process:
    """The server, until it ends."""

    def __init__(self, grace: float) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", PROCESS.format(grace=grace)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        assert self.process.stderr is not None
        self.port = 0
        for line in self.process.stderr:
            event = json.loads(line)
            if event["event"] == "server.listening":
                self.port = int(event["url"].split(":")[2].split("/")[0])
            if event["event"] == "model.loaded":
                break
        while self.readyz() != (200, "ready"):
            time.sleep(0.05)

    def connect(self) -> connect:
        return connect(f"ws://127.0.0.1:{self.port}/v1/stream", subprotocols=[Subprotocol(SUBPROTOCOL)], compression=None)

    def readyz(self) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10) as response:
                return response.status, json.load(response)["status"]
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)["status"]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        return self.process.wait(20)


@contextmanager
def running(grace: float) -> Iterator[Process]:
    server = Process(grace)
    try:
        yield server
    finally:
        server.process.kill()
        server.process.communicate()


async def begin(ws: ClientConnection) -> Any:
    await send(ws, START)
    started = await receive(ws)
    assert started["type"] == "session.started"
    return started


async def closed(ws: ClientConnection) -> int:
    with pytest.raises(ConnectionClosed) as error:
        await receive(ws)
    assert error.value.rcvd is not None
    return error.value.rcvd.code


def test_running_sessions_finish_and_no_other_starts() -> None:
    async def act(server: Process) -> None:
        async with server.connect() as running_, server.connect() as idle, server.connect() as breaking:
            await begin(running_)
            await send(running_, append("The dog "))
            await until(running_, "read")
            started = await begin(breaking)
            breaking.transport.abort()
            server.terminate()
            for ws in (running_, idle):
                told = await receive(ws)
                assert (told["type"], told["seconds"]) == ("going_away", 60.0)
            assert server.readyz() == (503, "draining")
            await send(idle, START)
            refused = await receive(idle)
            assert (refused["code"], refused["fatal"]) == ("shutting_down", True)
            assert 30 < refused["retry_after"] <= 60
            assert await closed(idle) == 1012
            async with server.connect() as late:  # told with its first message; by the refusal of a start at the latest
                await send(late, {"type": "ping", "id": 1})
                told = await receive(late)
                assert (told["type"], 30 < told["seconds"] <= 60) == ("going_away", True)
                assert (await receive(late))["type"] == "pong"
                await send(late, START)
                assert (await receive(late))["code"] == "shutting_down"
                assert await closed(late) == 1012
            async with server.connect() as again:  # a broken connection is a running session too
                await send(again, {"type": "session.resume", "resume_token": started["resume_token"], "last_seq": 1})
                assert [(await receive(again))["type"] for _ in range(2)] == ["session.resumed", "going_away"]
                await send(again, append("sat "), END)
                await until(again, "done")
            await send(running_, append("sat "), END)
            assert (await until(running_, "done"))[-1]["reason"] in ("end", "length")
            assert (await receive(running_))["code"] == "shutting_down"
            assert await closed(running_) == 1012

    with running(grace=60) as server:
        asyncio.run(act(server))
        assert server.wait() == 0


@pytest.mark.slow
@pytest.mark.parametrize(("grace", "signals"), [(0.5, 1), (60.0, 2)], ids=["time is up", "told twice"])
def test_a_session_that_goes_on_and_on_is_told_and_closed(grace: float, signals: int) -> None:
    async def act(server: Process) -> None:
        async with server.connect() as ws:
            await begin(ws)
            server.terminate()
            assert (await receive(ws))["type"] == "going_away"
            for _ in range(signals - 1):
                server.terminate()
            assert (await receive(ws))["code"] == "shutting_down"
            assert await closed(ws) == 1012

    with running(grace) as server:
        asyncio.run(act(server))
        assert server.wait() == 0


def test_who_comes_in_the_last_moment_is_told_and_closed() -> None:
    async def act(live: Live) -> None:
        assert live.worker._loop is not None
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(live.app.state.leave(), live.worker._loop))
        async with live.connect() as ws:
            told = await receive(ws)
            assert (told["code"], told["fatal"]) == ("shutting_down", True)
            assert await closed(ws) == 1012

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
