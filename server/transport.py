"""uvicorn's websocket with one bound more. Knows bytes; knows no message."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

MAX_UNSENT = 1 << 20  # bytes; what we send ourselves waits long before


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """The transport answers pings by itself, however many answers are not taken: 52 MB of pings made the process 52 MB larger."""

    def handle_ping(self) -> None:
        """Answers; hangs up on a client that sends pings and takes no pongs."""
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNSENT:
            self.transport.abort()
