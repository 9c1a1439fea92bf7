"""One session of a load: streams a feed at its pace, as a client that behaves or as one that does not. Knows the client's API only."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from proactivellm_client import ClientError, Error, ServerError, Session, connect
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from load.feed import Feed
from load.trace import Trace

Act = Callable[[Session, ClientConnection], Awaitable[None]]
Fault = Literal["none", "vanish", "deaf"]
CONNECT_SECONDS = 10.0
DEAF_PINGS = 100.0  # a second: what a client that never reads has to be told fills its queue


@dataclass
class Result:
    """One session.

    started: the server took it; error: the code of what ended it early, the server's or `closed`
    late:    [n] how late each piece was sent
    """

    feed: Feed
    fault: Fault = "none"
    trace: Trace = field(default_factory=Trace)
    started: bool = False
    error: str | None = None
    retry_after: float | None = None
    late: list[float] = field(default_factory=list)

    @property
    def refused(self) -> bool:
        """True if it was told to come back later."""
        return not self.started and self.error in ("no_capacity", "not_ready", "shutting_down", "too_fast")


@dataclass(frozen=True)
class Target:
    """Where sessions go, and what they ask for: the options of the client's `session`."""

    url: str
    task: str
    options: dict[str, Any]
    api_key: str | None = None


async def behave(target: Target, feed: Feed, *, paced: bool = True) -> Result:
    """Streams the feed to its end and takes all that comes."""
    result = Result(feed)
    try:
        async with connect(target.url, api_key=target.api_key).session(target.task, **target.options, **feed.options) as session:
            result.started = True
            sender = asyncio.create_task(_send(session, result, len(feed.pieces), paced=paced, end=True))
            try:
                async for event in session:
                    result.trace.events.append((time.perf_counter(), event))
                    if isinstance(event, Error):
                        result.error = event.code
            finally:
                sender.cancel()
                with contextlib.suppress(asyncio.CancelledError, ClientError):  # what it met, the receiver met too
                    await sender
    except ServerError as error:
        result.error, result.retry_after = error.code, error.retry_after
    except ClientError:
        result.error = "closed"
    return result


async def vanish(target: Target, feed: Feed, share: float) -> Result:
    """Streams that share of the feed, then is gone without a word, as a phone in a tunnel is."""
    result = Result(feed, "vanish")

    async def act(session: Session, _: ClientConnection) -> None:
        await _send(session, result, round(share * len(feed.pieces)), paced=True, end=False)

    return await _misbehave(target, result, act, feed.seconds)


async def be_deaf(target: Target, feed: Feed, linger: float) -> Result:
    """Streams the feed and never reads; goes on asking for answers for `linger` seconds, then vanishes unless it was closed."""
    result = Result(feed, "deaf")

    async def act(session: Session, connection: ClientConnection) -> None:
        await _send(session, result, len(feed.pieces), paced=True, end=True)
        for _ in range(round(linger * DEAF_PINGS)):
            await connection.send(json.dumps({"type": "ping", "id": "x" * 250}))
            await asyncio.sleep(1 / DEAF_PINGS)

    return await _misbehave(target, result, act, feed.seconds + linger)


async def _misbehave(target: Target, result: Result, act: Act, seconds: float) -> Result:
    """Connects so that next to nothing is read ahead, acts for no longer than that, and drops the connection."""
    kept: list[ClientConnection] = []

    def keep(*args: Any, **options: Any) -> ClientConnection:
        kept.append(ClientConnection(*args, **options))
        return kept[-1]

    try:
        sock = await asyncio.to_thread(_narrow_socket, target.url)
        client = connect(target.url, api_key=target.api_key, sock=sock, create_connection=keep, max_queue=1)
        async with client, client.session(target.task, **target.options, **result.feed.options) as session:
            result.started = True
            try:
                async with asyncio.timeout(seconds + 1.0):  # a server that reads no more holds up who sends
                    await act(session, kept[0])
            finally:
                kept[0].transport.abort()
    except ServerError as error:
        result.error, result.retry_after = error.code, error.retry_after
    except (ClientError, ConnectionClosed, OSError):
        result.error = "closed"
    return result


def _narrow_socket(url: str) -> socket.socket:
    """A socket that holds next to nothing of what is not read: said before it connects, or the kernel makes room for megabytes."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme in ("wss", "https") else 80)
    family, kind, protocol, _, address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.settimeout(CONNECT_SECONDS)
        sock.connect(address)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


async def _send(session: Session, result: Result, count: int, *, paced: bool, end: bool) -> None:
    """The first `count` pieces, each when it is due, whatever came meanwhile; then the source end."""
    started = time.perf_counter()
    for index in range(count):
        due = started + (result.feed.due[index] if paced else 0.0)
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        now = time.perf_counter()
        result.late.append(now - due)
        result.trace.sent.append(due if paced else now)
        await result.feed.give(session, index)
    if end:
        now = time.perf_counter()
        result.trace.sent.append(now)
        result.trace.ended = now
        await session.end()
