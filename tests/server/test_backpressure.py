"""Who reads too slowly, and who sends too fast: bounded queues on both sides, over a real socket, and neighbours who notice nothing."""

import asyncio
import json
import socket

import pytest
from websockets.asyncio.client import ClientConnection

from tests.server.live import END, SLOTS, START, Event, Live, append, memory, neighbour, receive, send, session, until, wait_until
from tests.server.test_bad_input import check, closed_with


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for a deaf client goes through a window of 4 kB once it reads: on a busy machine for more than a second."""
    monkeypatch.setattr("server.duplex.TELL_SECONDS", 20.0)
    monkeypatch.setattr("server.transport.CLOSE_SECONDS", 20.0)


async def deaf(live: Live) -> ClientConnection:
    """A connection that takes next to nothing unless it is read."""
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.connect(("127.0.0.1", live.port))
    return await live.connect(sock=raw, max_queue=1)


@pytest.mark.usefixtures("patient")
def test_a_client_that_never_reads_is_told_and_closed() -> None:
    """Its queue is full long before it costs memory, and its neighbour is not held up."""

    async def act(live: Live) -> None:
        async with await deaf(live) as ws:
            await send(ws, {**START, "include": ["decision"]})
            await until(ws, "session.started")
            pings = ({"type": "ping", "id": "x" * 250} for _ in range(2000))
            told = asyncio.to_thread(wait_until, lambda: live.error_count("slow_reader") == 1)
            await asyncio.gather(send(ws, *pings), told, return_exceptions=True)
            await closed_with(ws, 4430, error="slow_reader")

    with Live(max_queued_events=16, send_buffer=4096, stalled_seconds=0.5) as live:
        wait_until(lambda: live.worker.ready)
        check(live, asyncio.run(neighbour(live)), act)


@pytest.mark.usefixtures("patient")
def test_a_client_that_never_reads_what_is_written_for_it_is_closed() -> None:
    """It sends next to nothing: what is written is more than may wait."""

    async def act(live: Live) -> None:
        def done() -> float:
            return live.app_metric("proactivellm_sessions_done_total", {"model": "tiny", "reason": "length"})

        before = done()

        async with await deaf(live) as ws:
            long = {"threshold": -1.0, "max_output_tokens": 450, "sampling": {"temperature": 10.0}}  # no early end with this seed
            for i in range(1, 5):  # of 75 kB each
                await send(ws, {**START, "include": ["decision"], **long}, append("dog "))
                await asyncio.to_thread(wait_until, lambda i=i: live.error_count("slow_reader") or done() == before + i)
                if live.error_count("slow_reader"):
                    break
            await closed_with(ws, 4430, error="slow_reader")

    with Live(max_queued_events=16, send_buffer=4096, slot_length=500, kv_memory=memory(SLOTS, 500)) as live:
        wait_until(lambda: live.worker.ready)
        check(live, asyncio.run(neighbour(live)), act)


@pytest.mark.parametrize(
    ("message", "answer"),
    [({"type": "ping", "id": 1}, "pong"), ({"type": "session.update", "tier": 5}, "error"), (START, "error")],
    ids=["pings", "bad updates", "second starts"],
)
def test_a_burst_of_what_needs_no_worker_is_answered_as_fast_as_it_is_read(message: Event, answer: str) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            for _ in range(500):
                ws.protocol.send_text(json.dumps(message).encode())
            ws.send_data()  # all of them in one write
            assert {(await receive(ws))["type"] for _ in range(500)} == {answer}

    with Live(max_queued_events=16) as live:
        wait_until(lambda: live.worker.ready)
        check(live, asyncio.run(neighbour(live)), act)


def test_a_client_that_floods_is_not_read_faster_than_it_is_answered() -> None:
    """Appends and updates wait in a bounded queue, then in the client's own socket."""
    longest = 0

    async def flood() -> Event:
        nonlocal longest
        async with session(live, head="full") as ws:
            sender = asyncio.create_task(
                send(ws, *(append("a") if i % 2 else {"type": "session.update", "threshold": 0.5} for i in range(600)), END)
            )
            while (event := await receive(ws))["type"] != "done":
                longest = max([longest, *(s.queued for s in live.engine.sessions)])
            await sender
            return event

    with Live(max_queued_messages=8, slot_length=512, kv_memory=1 << 26) as live:
        wait_until(lambda: live.worker.ready)
        done = asyncio.run(flood())
    assert longest <= 8
    assert done["usage"]["source_units"] == 1  # "aaaa…" is one word
