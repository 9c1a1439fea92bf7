"""A real server on a real socket, in a thread, with a tiny float32 model; and a well-behaved neighbour to disturb. Knows no test."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from engine.engine import Engine
from server.app import create_app
from server.config import ServerConfig
from server.serve import Server, bind, uvicorn_config
from server.wire import SUBPROTOCOL
from server.worker import Loader, Worker
from tests import tiny

Event = dict[str, Any]
SLOTS, LENGTH = 8, 128
START = {"type": "session.start", "task": "echo", "threshold": 0.4}
TEXT = ["The", "dog", "sat", "down", "where", "the", "cats", "were", "and", "the", "birds", "sang"]


def memory(slots: int = SLOTS, length: int = LENGTH) -> int:
    """Bytes for exactly so many slots of the tiny model."""
    return (slots * length + 1) * tiny.checkpoint().backbone.shape.bytes_per_row()


class Live:
    """The server; stops and joins its threads at the end of `with`."""

    def __init__(self, loader: Loader = lambda *_: tiny.checkpoint(), **settings: Any) -> None:
        self.config = ServerConfig(**{"port": 0, "kv_memory": memory(), "slot_length": LENGTH, "canary_seconds": 0.2, **settings})
        self.app = create_app(self.config, loader)
        self.server = Server(uvicorn_config(self.app, self.config))
        self.socket = bind(self.config)
        self.port: int = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.socket]})

    def __enter__(self) -> "Live":
        self.thread.start()
        wait_until(lambda: self.server.started)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(20)
        assert not self.thread.is_alive()

    @property
    def worker(self) -> Worker:
        worker: Worker = self.app.state.worker
        return worker

    @property
    def engine(self) -> Engine:
        return self.worker.engines["tiny"]

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    def connect(self, **options: Any) -> connect:
        return connect(self.url, subprotocols=[SUBPROTOCOL], compression=None, **options)

    def error_count(self, code: str) -> float:
        return self.app_metric("proactivellm_errors_total", {"code": code})

    def app_metric(self, name: str, labels: dict[str, str]) -> float:
        return self.worker._metrics.registry.get_sample_value(name, labels) or 0.0


def wait_until(true: Callable[[], bool], seconds: float = 60.0) -> None:
    """Polls; fails after `seconds`."""
    limit = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < limit, "it never happened"
        time.sleep(0.005)


async def send(ws: ClientConnection, *messages: Event) -> None:
    for message in messages:
        await ws.send(json.dumps(message))


async def receive(ws: ClientConnection) -> Event:
    event: Event = json.loads(await asyncio.wait_for(ws.recv(), 20))
    return event


async def until(ws: ClientConnection, *types: str) -> list[Event]:
    """Events up to the first of one of the types."""
    events = [await receive(ws)]
    while events[-1]["type"] not in types:
        events.append(await receive(ws))
    return events


@asynccontextmanager
async def session(live: Live, **start: Any) -> AsyncIterator[ClientConnection]:
    """A socket with a session that has started."""
    async with live.connect() as ws:
        await send(ws, {**START, **start})
        assert (await receive(ws))["type"] == "session.started"
        yield ws


def append(text: str) -> Event:
    return {"type": "source.append", "text": text}


END = {"type": "source.end"}


async def neighbour(live: Live, disturb: Callable[[], Awaitable[None]] | None = None) -> list[Event]:
    """A session that streams TEXT, with `disturb` in the middle; its events but for `seq` and the session's id."""
    async with session(live) as ws:
        await send(ws, *(append(word + " ") for word in TEXT[:4]))
        if disturb is not None:
            await disturb()
        await send(ws, *(append(word + " ") for word in TEXT[4:]), END)
        events = await until(ws, "done")
    assert [event.pop("seq") for event in events] == list(range(2, len(events) + 2))
    return events
