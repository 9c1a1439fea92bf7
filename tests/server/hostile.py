"""A client that sends anything at all, and believes nothing that it gets. Knows the wire; knows no test."""

import asyncio
import contextlib
import hashlib
import json
import random
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from server import wire
from tests.server.live import START, Live

MARKS: set[str] = set()  # of all clients; too long for a mangled one to become another
Frame = str | bytes


class Hostile:
    """Every text of its own holds its mark; what comes must be an event, in order, without the mark of anybody else."""

    def __init__(self, live: Live, number: int) -> None:
        self.live, self.mark, self.sent = live, f"mark{hashlib.sha256(bytes([number])).hexdigest()[:16]}x", 0
        MARKS.add(self.mark)
        self._ws: ClientConnection | None = None
        self._reading: asyncio.Task[None] | None = None
        self._seq, self._pong = 0, ""

    async def connect(self) -> None:
        """A new connection, if there is none."""
        if self._ws is None or self._reading is None or self._reading.done():
            await self.leave(abort=False)
            # Bytes that are no frame may leave the server waiting for the rest of one: it answers no close then.
            self._ws, self._seq = await self.live.connect(max_queue=None, close_timeout=0.2), 0
            self._reading = asyncio.create_task(self._read(self._ws))

    async def _read(self, ws: ClientConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                self._check(await ws.recv())

    def _check(self, frame: Frame) -> None:
        assert isinstance(frame, str)
        event = wire.SERVER.validate_json(frame)
        self._seq += 1
        if isinstance(event, wire.Pong):
            self._pong = str(event.id)
        assert event.seq == self._seq
        assert not any(mark in frame for mark in MARKS - {self.mark}), f"{self.mark} was told of another: {frame}"

    async def settle(self) -> None:
        """Until what was sent is dealt with, or the connection is closed over it."""
        last = f"{self.mark} {self.sent}"
        await self.send(json.dumps({"type": "ping", "id": last}))
        limit = asyncio.get_running_loop().time() + 10
        while self._reading is not None and not self._reading.done() and self._pong != last:
            assert asyncio.get_running_loop().time() < limit, "neither an answer nor a close"
            await asyncio.sleep(0.001)

    async def send(self, *frames: Frame) -> None:
        """Frames, as they are; the connection may break over them."""
        await self.connect()
        assert self._ws is not None
        with contextlib.suppress(ConnectionClosed):
            for frame in frames:
                self.sent += 1
                await self._ws.send(frame)

    async def send_raw(self, data: bytes) -> None:
        """Bytes where a websocket frame should be."""
        await self.connect()
        assert self._ws is not None
        self.sent += 1
        # The server's close may just have come: then this end has said its last word, too, and there is nothing to break any more.
        with contextlib.suppress(RuntimeError):
            self._ws.transport.write(data)
        await asyncio.sleep(0)

    async def leave(self, *, abort: bool) -> None:
        """Without a word, or with one. Raises what `_read` found wrong."""
        if self._ws is not None:
            if abort:
                self._ws.transport.abort()
            await self._ws.close()
            assert self._reading is not None
            await self._reading
        self._ws = self._reading = None


def message(rng: random.Random, mark: str) -> dict[str, Any]:
    """A message that is valid by itself, whether or not this is its time."""
    kind = rng.choice(["start", "append", "append", "append", "append", "end", "update", "cancel", "ping"])
    if kind == "start":
        extra: list[dict[str, Any]] = [
            {},
            {"include": ["decision"]},
            {"head": "attention"},
            {"head": f"no-{mark}"},
            {"task": f"no-{mark}"},
            {"max_lag": 1},
            {"sampling": {"temperature": 2.0, "seed": 3}},
            {"task": "ask", "inputs": {"question": f"who is {mark}?"}},
            {"inputs": {mark: mark}},
        ]
        return {**START, "threshold": rng.random(), **rng.choice(extra)}
    return {
        "append": {"type": "source.append", "text": rng.choice([f"{mark} ", "dog ", "d", "", "世界", "\n", f"{mark} " * 30])},
        "end": {"type": "source.end"},
        "update": {"type": "session.update", "threshold": rng.uniform(-1, 2)},
        "cancel": {"type": "session.cancel"},
        "ping": {"type": "ping", "id": mark},
    }[kind]


def mangled(rng: random.Random, frame: str) -> str:
    """A valid frame with a piece lost, doubled, or replaced."""
    at, length = rng.randrange(len(frame)), rng.randrange(1, 8)
    piece = rng.choice(["", frame[at : at + length] * 2, '"', "{", "[" * 200, "\\ud800", "\x00", "null", "1e999", "-"])
    return frame[:at] + piece + frame[at + length :]


def frame(rng: random.Random, mark: str) -> Frame:
    """Mostly valid, else mangled, no JSON, or binary."""
    valid = json.dumps(message(rng, mark))
    match rng.randrange(20):
        case 0:
            return mangled(rng, valid)
        case 1:
            return rng.choice(["", "[]", "null", '{"type": 5}', json.dumps({"type": mark}), "[" * 5000, "x" * 70_000, f'{{"{mark}": 1}}'])
        case 2 if rng.random() < 0.5:
            return rng.randbytes(rng.randrange(40))
    return valid
