"""What the transport does by itself, before any message of ours."""

import socket
import struct

import pytest

from server.transport import MAX_UNSENT
from tests.server.live import Live, wait_until

UPGRADE = (
    b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
PING = struct.pack("!BBI", 0x89, 0x80 | 125, 0) + b"x" * 125  # masked with zeros


def test_a_client_that_sends_pings_and_takes_no_pongs_is_hung_up_on() -> None:
    with Live(send_buffer=4096) as live, socket.socket() as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.settimeout(20)
        raw.connect(("127.0.0.1", live.port))
        raw.sendall(UPGRADE)
        assert raw.recv(12) == b"HTTP/1.1 101"
        with pytest.raises(ConnectionError):
            raw.sendall(PING * (20 * MAX_UNSENT // len(PING)))
        wait_until(lambda: live.app_metric("proactivellm_connections", {}) == 0)
