"""A TCP proxy before a server, for connections that break: it cuts after so many bytes, delays, and says all twice. Knows no message."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """What happens to one connection.

    up, down: bytes from the client, from the server, after which it is cut; None: never
    delay:    seconds that each piece of it is late
    silent:   the server is not told of the cut: its side stays open, and nobody answers
    twice:    all that the client sends goes to the server over another connection too, a moment before
    """

    up: int | None = None
    down: int | None = None
    delay: float = 0.0
    silent: bool = False
    twice: bool = False


class Proxy:
    """Each connection meets the next fault of the list, and those behind them none. `url` takes the place of the server's.

    elsewhere: the server of every connection but the first, where it is another
    """

    def __init__(self, port: int, faults: Sequence[Fault], elsewhere: int | None = None) -> None:
        self._upstream, self._faults = port, list(faults)
        self._elsewhere = port if elsewhere is None else elsewhere
        self._writers: list[asyncio.StreamWriter] = []
        self._tasks: list[asyncio.Task[None]] = []
        self.connections = 0
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/v1/stream"

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fault = self._faults[self.connections] if self.connections < len(self._faults) else Fault()
        upstream = self._elsewhere if self.connections else self._upstream
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.append(task)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", upstream)
        self._writers += [writer, server_writer]
        ups = [server_writer]
        if fault.twice:
            _, twin = await asyncio.open_connection("127.0.0.1", upstream)
            self._writers.append(twin)
            ups.insert(0, twin)
        pipes = [
            asyncio.create_task(_pipe(reader, ups, fault.up, fault.delay)),
            asyncio.create_task(_pipe(server_reader, [writer], fault.down, fault.delay)),
        ]
        try:
            await asyncio.wait(pipes, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pipe in pipes:
                pipe.cancel()
            await asyncio.gather(*pipes, return_exceptions=True)
            writer.transport.abort()
            if not fault.silent:
                server_writer.transport.abort()

    async def close(self) -> None:
        """Ends what is left of it, silent cuts among them."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(0)


async def _pipe(reader: asyncio.StreamReader, writers: Sequence[asyncio.StreamWriter], limit: int | None, delay: float) -> None:
    passed = 0
    while data := await reader.read(1 << 16):
        if delay:
            await asyncio.sleep(delay)
        if limit is not None:
            data = data[: limit - passed]
        passed += len(data)
        for writer in writers:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0.05 if len(writers) > 1 else 0)  # one after the other
        if passed == limit:
            return


@asynccontextmanager
async def proxied(port: int, faults: Sequence[Fault], elsewhere: int | None = None) -> AsyncIterator[Proxy]:
    """The proxy, within this event loop."""
    proxy = Proxy(port, faults, elsewhere)
    async with await asyncio.start_server(proxy.handle, "127.0.0.1", 0) as server:
        proxy.port = server.sockets[0].getsockname()[1]
        try:
            yield proxy
        finally:
            server.close()
            await proxy.close()
