"""What the transport does by itself, before any message of ours: who asks for nothing, says nothing, or takes nothing."""

import asyncio
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from server.transport import MAX_FRAGMENTS, MAX_HEAD, MAX_UNSENT, Pending
from tests.server.keyed import ask, keyed
from tests.server.live import END, START, Event, Live, append, neighbour, send, until, wait_until
from tests.server.taking import Deaf

HEAD = b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n"
UPGRADE = (
    HEAD + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)


def frame(opcode: int, data: bytes = b"", *, fin: bool = True) -> bytes:
    """Masked with zeros; up to 125 bytes."""
    return struct.pack("!BBI", opcode | 0x80 * fin, 0x80 | len(data), 0) + data


TEXT, CONT, PING, PONG = 1, 0, 9, 10


def dial(live: Live, *parts: bytes) -> socket.socket:
    """A connection on which that was sent."""
    raw = socket.create_connection(("127.0.0.1", live.port), timeout=20)
    raw.sendall(b"".join(parts))
    return raw


def opened(live: Live, *headers: bytes) -> socket.socket:
    """An open websocket."""
    raw = dial(live, UPGRADE, *headers, b"\r\n")
    assert raw.recv(12) == b"HTTP/1.1 101"
    return raw


def is_closed(raw: socket.socket) -> bool:
    """By the server, whatever it said before."""
    raw.setblocking(False)
    try:
        while raw.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def said(raw: socket.socket) -> bytes:
    """Everything, to the end."""
    raw.settimeout(20)
    got = b""
    try:
        while more := raw.recv(1 << 16):
            got += more
    except ConnectionError:
        pass
    return got


def dropped(live: Live) -> float:
    return live.app_metric("proactivellm_limits_total", {"limit": "requests", "of": "server"})


# ---- connections that are no open websocket


@pytest.fixture(scope="module")
def tight() -> Iterator[Live]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("server.transport.CLOSE_SECONDS", 0.5)
        with Live(max_requests=8, request_seconds=1.0, send_buffer=4096, max_queued_events=8, stalled_seconds=0.3) as live:
            wait_until(lambda: live.worker.ready)
            yield live


NOTHING = [
    pytest.param(b"", id="not a byte"),
    pytest.param(HEAD + b"X-Ha", id="half a request"),
    pytest.param(b"PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\nhalf", id="half a body"),
    pytest.param(
        UPGRADE + b"Origin: https://elsewhere.example\r\n\r\n", id="a handshake that is refused, and a close that is not answered"
    ),
    pytest.param(HEAD + b"\r\n", id="an answer and no further request"),
    pytest.param(UPGRADE + b"X-Long: " + b"x" * 20_000 + b"\r\n\r\n", id="a handshake that websockets does not take"),
    pytest.param(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n", id="an answer that ends the connection"),
]


@pytest.mark.parametrize("what", NOTHING)
def test_who_opens_many_and_asks_for_nothing_keeps_nobody_out_and_is_gone_in_the_end(tight: Live, what: bytes) -> None:
    with ExitStack() as stack:
        many = [stack.enter_context(dial(tight, what)) for _ in range(30)]
        assert ask(tight, "/healthz")[0] == 200
        assert asyncio.run(neighbour(tight))[-1]["type"] == "done"
        started = time.monotonic()
        wait_until(lambda: all(map(is_closed, many)))
        assert time.monotonic() - started < 5  # seconds that uvicorn gives an idle connection
    wait_until(lambda: not tight.server.server_state.connections)


def test_the_oldest_goes_first_and_is_counted(tight: Live) -> None:
    before = dropped(tight)
    with ExitStack() as stack:
        first, *rest = [stack.enter_context(dial(tight)) for _ in range(9)]
        wait_until(lambda: is_closed(first))
        assert not any(map(is_closed, rest))
        assert dropped(tight) == before + 1


def test_a_request_that_drips_in_is_not_waited_for(tight: Live) -> None:
    with dial(tight, HEAD) as raw:
        started = time.monotonic()
        while not is_closed(raw):
            assert time.monotonic() - started < 5
            raw.setblocking(True)
            try:
                raw.sendall(b"X: y\r\n")
            except ConnectionError:
                break
            time.sleep(0.05)
        assert time.monotonic() - started > 0.8


def test_a_head_without_end_is_not_kept(tight: Live) -> None:
    with dial(tight, HEAD) as raw, pytest.raises(ConnectionError):
        raw.sendall(b"X: " + b"y" * (200 * MAX_HEAD))


def test_requests_that_are_whole_take_their_time(tight: Live) -> None:
    async def slow() -> str:
        await asyncio.sleep(1.5)
        return "slow"

    tight.app.add_api_route("/slow", slow)
    request = b"GET /slow HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    with dial(tight, request + b"\r\n", request + b"Connection: close\r\n\r\n") as raw:  # the second waits for the first
        assert said(raw).count(b'"slow"') == 2


def test_a_client_that_takes_nothing_is_not_waited_for(tight: Live) -> None:
    with socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(5)
        raw.connect(("127.0.0.1", tight.port))
        raw.sendall(UPGRADE + b"\r\n")
        ping = frame(TEXT, json.dumps({"type": "ping", "id": "x" * 90}).encode())
        before = tight.error_count("slow_reader")
        raw.setblocking(False)

        def floods() -> bool:
            try:
                raw.send(ping * 100)
            except BlockingIOError:
                pass
            except ConnectionError:
                return True
            return tight.error_count("slow_reader") > before

        wait_until(floods)
        wait_until(lambda: not tight.server.server_state.connections, 8)  # two seconds to be told, then CLOSE_SECONDS


def test_a_client_that_takes_no_answer_is_not_waited_for(tight: Live) -> None:
    """Its connection is closed behind the answer, which would wait until all of that is taken."""
    connections = tight.server.server_state.connections
    wait_until(lambda: not connections)
    client = Deaf(tight, headers=b"Connection: close\r\n")
    wait_until(lambda: len(connections) == 1)
    wait_until(lambda: not connections, 10)
    client.close()


# ---- keepalive pings


@pytest.fixture
def pinging() -> Iterator[Live]:
    live = Live(max_queued_messages=8)
    live.server.config.ws_ping_interval, live.server.config.ws_ping_timeout = 0.1, 0.3
    with live:
        wait_until(lambda: live.worker.ready)
        yield live


def test_a_client_that_is_silent_is_lost(pinging: Live) -> None:
    with opened(pinging) as raw:
        assert b"keepalive ping timeout" in said(raw)


def test_a_client_from_which_bytes_come_is_not_lost(pinging: Live) -> None:
    """Half a message is none, and it answers no ping."""
    with opened(pinging) as raw:
        text = frame(TEXT, b'{"type": "ping", "id": 1, "and a lot that is not needed"')
        for at in range(10):
            raw.sendall(text[at : at + 1])
            time.sleep(0.1)
        assert b"keepalive ping timeout" not in raw.recv(1 << 16)
        assert b"keepalive ping timeout" in said(raw)


def test_a_client_that_must_wait_for_the_device_is_not_lost(pinging: Live) -> None:
    """Its pongs stand behind messages that the server does not take yet."""

    async def act() -> list[Event]:
        async with pinging.connect(ping_interval=None) as ws:
            await send(ws, START)
            await until(ws, "session.started")
            pinging.worker._commands.put(lambda: time.sleep(2.0))
            await send(ws, *(append("a ") for _ in range(50)), END)
            return await until(ws, "done")

    assert asyncio.run(act())[-1]["usage"]["source_units"] == 50


# ---- frames that are no message


@pytest.fixture(scope="module")
def keyed_live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, bytes]]:
    file, key = keyed(tmp_path_factory.mktemp("keys"), max_frames_per_second=100.0)
    with Live(api_keys_file=file, burst_seconds=0.2) as live:
        wait_until(lambda: live.worker.ready)
        yield live, f"X-API-Key: {key}\r\n".encode()


FLOODS: dict[str, Callable[[int], bytes]] = {
    "pings": lambda count: frame(PING) * count,
    "pongs": lambda count: frame(PONG) * count,
    "empty continuations": lambda count: frame(TEXT, fin=False) + frame(CONT, fin=False) * count,
    "messages in pieces": lambda count: (frame(TEXT, b'{"type": ', fin=False) + frame(CONT, b'"ping", "id": 1}')) * count,
}


@pytest.mark.parametrize("flood", FLOODS)
def test_every_frame_counts(keyed_live: tuple[Live, bytes], flood: str) -> None:
    live, key = keyed_live
    labels = {"limit": "frames", "of": "key"}
    before = live.app_metric("proactivellm_limits_total", labels)
    time.sleep(0.5)  # what the test before took is earned again
    with opened(live, key) as raw:
        for _ in range(3):
            raw.sendall(FLOODS[flood](100))
        assert b'"code":"too_fast"' in said(raw)
    assert live.app_metric("proactivellm_limits_total", labels) > before


def test_a_message_in_too_many_pieces_is_too_large() -> None:
    with Live() as live, opened(live) as raw:
        raw.sendall(frame(TEXT, fin=False) + frame(CONT, fin=False) * (3 * MAX_FRAGMENTS))
        assert struct.pack("!H", 1009) in said(raw)


def test_a_message_in_pieces_is_one() -> None:
    text = json.dumps({"type": "ping", "id": 7}).encode()
    with Live() as live, opened(live) as raw:
        pieces = [frame(CONT, bytes([byte]), fin=False) for byte in text[1:]]
        raw.sendall(frame(TEXT, text[:1], fin=False) + b"".join(pieces) + frame(PING) + frame(CONT))
        got = b""
        while b'"type":"pong"' not in got:
            more = raw.recv(1 << 16)
            assert more, got
            got += more


def test_a_client_that_sends_pings_and_takes_no_pongs_is_hung_up_on() -> None:
    ping = frame(PING, b"x" * 125)
    with Live(send_buffer=4096) as live, socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(20)
        raw.connect(("127.0.0.1", live.port))
        raw.sendall(UPGRADE + b"\r\n")
        assert raw.recv(12) == b"HTTP/1.1 101"
        with pytest.raises(ConnectionError):
            raw.sendall(ping * (20 * MAX_UNSENT // len(ping)))
        wait_until(lambda: live.app_metric("proactivellm_connections", {}) == 0)


def test_who_opens_many_ends_nobodys_answer() -> None:
    """A request that is whole may be answered for an hour."""
    dropped: list[str] = []

    class Transport(asyncio.Transport):
        def __init__(self, name: str) -> None:
            self.name = name

        def abort(self) -> None:
            dropped.append(self.name)

    pending = Pending(2, 10.0, lambda: None)
    answered, *others = (Transport(name) for name in ("answered", "a", "b", "c"))
    pending.hold(answered)
    pending.answer(answered, begins=True)
    for other in others:
        pending.hold(other)
    assert dropped == ["a", "b"]
    pending.answer(answered, begins=False)
    pending.hold(others[0])
    assert dropped == ["a", "b", "answered"]
    for other in others[::2]:
        pending.answer(other, begins=True)
    pending.hold(others[1])  # all others are being answered
    assert dropped[3:] == ["c"]
