"""A client of HTTP that takes nothing until it is told to. Knows sockets; knows no test."""

import json
import re
import socket

from fastapi import Response

from tests.server.live import Event, Live

BIG = 4 << 20  # bytes: more than every buffer between


class Deaf:
    """A connection on which a large answer lies unread: whatever else is answered, not a byte of it is taken before `said`."""

    def __init__(self, live: Live, request: bytes = b"", *, headers: bytes = b"") -> None:
        if not any(getattr(route, "path", None) == "/v1/big" for route in live.app.routes):
            live.app.router.add_route("/v1/big", lambda _: Response(bytes(BIG)))
        self._raw = socket.socket()
        self._raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 10)
        self._raw.settimeout(30)
        self._raw.connect(("127.0.0.1", live.port))
        self._raw.sendall(b"GET /v1/big HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + b"\r\n" + request)

    def said(self) -> bytes:
        """All that was answered to the second request, to the end of its last chunk or of the connection."""
        took = bytearray()
        try:
            while not took.endswith(b"\r\n0\r\n\r\n") and (more := self._raw.recv(1 << 16)):
                took += more
        except ConnectionResetError:
            pass
        return bytes(took[took.index(b"\r\n\r\n") + 4 + BIG :])

    def events(self) -> list[Event]:
        """Of an answer of server-sent events, numbered 1, 2, …"""
        found = [json.loads(data) for data in re.findall(rb"^data: (.*)$", self.said(), re.MULTILINE)]
        assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
        return found

    def close(self) -> None:
        """Without a word."""
        self._raw.close()


def upload(data: bytes, query: str, *, sent: int | None = None) -> bytes:
    """The request of a transcription, with the first `sent` bytes of the file."""
    head = f"POST /v1/transcribe?{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data[:sent]
