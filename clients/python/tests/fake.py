"""A server that plays a conversation: waits for each client frame, compares it, and sends what the script says. Knows no model."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

GOLDEN = Path(__file__).parents[3] / "tests" / "golden" / "wire"
CONVERSATIONS: list[dict[str, Any]] = json.loads((GOLDEN / "conversations.json").read_text())
MESSAGES: list[dict[str, Any]] = json.loads((GOLDEN / "messages.json").read_text())

STARTED = next(golden["message"] for golden in MESSAGES if golden["name"] == "started")


def c(type: str, **fields: Any) -> dict[str, Any]:  # noqa: A002 (the wire's name)
    """A frame that the client is expected to send."""
    return {"from": "client", "message": {"type": type, **fields}}


def s(type: str, seq: int, **fields: Any) -> dict[str, Any]:  # noqa: A002 (the wire's name)
    """A frame that the server sends."""
    return {"from": "server", "message": {"type": type, "seq": seq, **fields}}


def done(seq: int, text: str = "", reason: str = "end") -> dict[str, Any]:
    usage = {"prompt_tokens": 1, "source_tokens": 1, "source_units": 1, "target_tokens": 1, "probes": 1}
    return s("done", seq, text=text, reason=reason, usage=usage, rco=None, ail=None)


def begun(seq: int) -> dict[str, Any]:
    """A session that starts later on the connection."""
    return {"from": "server", "message": {**STARTED, "seq": seq}}


START, BEGUN = c("session.start", task="t"), begun(1)


class Fake:
    """`wrong` collects frames that were not in the script; `close` is the code that follows its last frame."""

    def __init__(self, frames: Sequence[dict[str, Any]], close: int | None = None) -> None:
        self.frames, self.close = frames, close
        self.wrong: list[tuple[object, object]] = []
        self.port = 0

    async def handle(self, socket: ServerConnection) -> None:
        for frame in self.frames:
            if frame["from"] == "server":
                await socket.send(json.dumps(frame["message"]) if "message" in frame else frame["raw"])
            else:
                got = json.loads(await socket.recv())
                if got != frame["message"]:
                    self.wrong.append((got, frame["message"]))
        if self.close is not None:
            await socket.close(self.close, "scripted")
        await socket.wait_closed()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


@asynccontextmanager
async def playing(frames: Sequence[dict[str, Any]], close: int | None = None) -> AsyncIterator[Fake]:
    """The fake server, within this event loop."""
    fake = Fake(frames, close)
    async with serve(fake.handle, "127.0.0.1", 0, subprotocols=["proactivellm.v1"]) as server:  # type: ignore[list-item]  # a NewType of str
        fake.port = next(iter(server.sockets)).getsockname()[1]
        yield fake
    assert fake.wrong == []


@contextmanager
def playing_in_a_thread(frames: Sequence[dict[str, Any]], close: int | None = None) -> Iterator[Fake]:
    """The fake server in an event loop of its own, for the blocking client."""
    ready, leave = threading.Event(), None
    found: list[Fake] = []

    async def run() -> None:
        nonlocal leave
        leave = asyncio.Event()
        loops.append(asyncio.get_running_loop())
        async with playing(frames, close) as fake:
            found.append(fake)
            ready.set()
            await leave.wait()

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    assert ready.wait(10)
    try:
        yield found[0]
    finally:
        assert leave is not None
        loops[0].call_soon_threadsafe(leave.set)
        thread.join(10)
    assert found[0].wrong == []
