"""uvicorn's protocols with the bounds that they lack: on connections that are no open websocket, and on frames that no message shows.

Knows bytes, times and transports; of a message it knows only that it is none.
"""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import CloseCode, Frame

from errors import LimitError

MAX_HEAD = 64 << 10  # bytes of a request before its body; and one piece of the transport's more
MAX_FRAGMENTS = 1024  # frames of one message: each is kept until the last
MAX_UNSENT = 1 << 20  # bytes; what we send ourselves waits long before
SLICE = 4096  # bytes that are read before the limits are asked again: six make a frame
CLOSE_SECONDS = 3.0  # to take what was sent before the close, and to answer that


class Pending:
    """Connections that are no open websocket: they send a request, are answered, or are being closed.

    Beyond `limit` the oldest that is not being answered is dropped, so that who opens many keeps nobody out, and ends nobody's answer;
    only where all others are being answered, the oldest of those.
    `seconds` are for a whole request. `met` is called for each that was dropped.
    """

    def __init__(self, limit: int, seconds: float, met: Callable[[], None]) -> None:
        self.seconds = seconds
        self._limit, self._met = limit, met
        self._held: dict[asyncio.BaseTransport, bool] = {}  # whether it is being answered

    def hold(self, transport: asyncio.Transport) -> None:
        """Counts the connection, as the newest."""
        self._held.pop(transport, None)
        self._held[transport] = False
        if len(self._held) > self._limit:
            idle = (other for other, is_answered in self._held.items() if not is_answered and other is not transport)
            self.drop(cast(asyncio.Transport, next(idle, next(iter(self._held)))))

    def answer(self, transport: asyncio.Transport, *, begins: bool) -> None:
        """The answer to a whole request begins, or ends."""
        if transport in self._held:
            self._held[transport] = begins

    def drop(self, transport: asyncio.Transport) -> None:
        """Ends the connection without a word."""
        self.release(transport)
        self._met()
        transport.abort()

    def release(self, transport: asyncio.Transport) -> None:
        """It is an open websocket, or gone."""
        self._held.pop(transport, None)


class BoundedConfig(uvicorn.Config):
    """uvicorn's settings, through which the protocols of a server find what they share."""

    def __init__(self, app: Any, pending: Pending, **settings: Any) -> None:
        super().__init__(app, http=BoundedHttp, ws=BoundedWebSocket, **settings)
        self.pending = pending


def _pending(config: uvicorn.Config) -> Pending:
    assert isinstance(config, BoundedConfig)
    return config.pending


class BoundedHttp(HttpToolsProtocol):
    """uvicorn waits for ever for the rest of a request, and takes a head of any length."""

    _deadline: asyncio.TimerHandle | None = None
    _unparsed = 0  # bytes since the last head, piece of a body, or end

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        """A client is there."""
        super().connection_made(transport)
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        self._forget_deadline()
        _pending(self.config).release(self.transport)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request."""
        self._unparsed += len(data)
        super().data_received(data)
        if self._unparsed > MAX_HEAD:
            _pending(self.config).drop(self.transport)

    def on_headers_complete(self) -> None:
        """The head is whole. What answers may hang up on a client that takes nothing: `hang_up` of the request's state."""
        self._unparsed = 0
        super().on_headers_complete()
        self.scope.setdefault("state", {})["hang_up"] = self.transport.abort

    def on_body(self, body: bytes) -> None:
        """A piece of the body, which has bounds of its own."""
        self._unparsed = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body too. One that was answered before it was whole keeps the deadline of the next request."""
        self._unparsed = 0
        super().on_message_complete()
        if self.cycle is not None and not self.cycle.response_complete:
            self._forget_deadline()
            _pending(self.config).answer(self.transport, begins=True)

    def on_response_complete(self) -> None:
        """Another request may follow; not where one waits already, or the connection is being closed."""
        super().on_response_complete()
        _pending(self.config).answer(self.transport, begins=False)
        if self.timeout_keep_alive_task is not None:
            self._expect_request()
        elif self.transport.is_closing():  # once all is sent, which a client that takes nothing would never let be
            self._forget_deadline()
            self._deadline = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def handle_websocket_upgrade(self) -> None:
        """From here on it is the websocket's, which is still to be opened."""
        self._forget_deadline()
        super().handle_websocket_upgrade()

    def _expect_request(self) -> None:
        pending = _pending(self.config)
        self._forget_deadline()
        self._deadline = self.loop.call_later(pending.seconds, lambda: pending.drop(self.transport))
        pending.hold(self.transport)

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn answers pings whoever takes the answers (52 MB of them made the process 52 MB larger), keeps fragments without end, and
    waits for a client that takes nothing until the network gives it up."""

    _deaf = False  # over a limit: what comes is thrown away
    _came_at = 0.0  # the last bytes
    _hang_up: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        _pending(self.config).release(self.transport)
        if self._hang_up is not None:
            self._hang_up.cancel()
        if self.handshake_complete and self.conn.close_rcvd is None:  # uvicorn has one code for this and for a goodbye without a code
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some frames; at first the handshake, whole."""
        self._came_at = self.loop.time()
        for at in range(0, len(data), SLICE):
            if self._deaf or self.transport.is_closing():
                return
            super().data_received(data[at : at + SLICE])
        if not self.handshake_initiated:  # it was none, and uvicorn waits for another
            self.transport.close()

    async def send(self, message: Any) -> None:
        """From the application."""
        await super().send(message)
        if message["type"] == "websocket.accept":
            _pending(self.config).release(self.transport)
        elif message["type"] == "websocket.close" and not self.disconnected:
            _pending(self.config).hold(self.transport)
        elif message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            self.handshake_complete = True  # refused is complete too: uvicorn would log it as an error of the application

    async def run_asgi(self) -> None:
        """The application, and what follows its end."""
        await super().run_asgi()
        self._hang_up_soon()

    def keepalive_timeout(self) -> None:
        """No pong came in time. It may stand behind messages that there is no room for yet: their client must wait, and is not lost."""
        patience = self.ping_timeout or 0.0
        left = patience if self.read_paused else self._came_at + patience - self.loop.time()
        if left > 0:
            self.pong_timer = self.loop.call_later(left, self.keepalive_timeout)
            return
        super().keepalive_timeout()
        self._hang_up_soon()

    def _hang_up_soon(self) -> None:
        """A transport that is closed waits until all is sent, and a client that takes nothing would keep it."""
        if not self.disconnected and self._hang_up is None:
            self._hang_up = self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    # ---- frames that are no message

    def handle_text(self, event: Frame) -> None:
        """The first frame of a message, or all of it."""
        self._count_fragment(event)
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        """Likewise."""
        self._count_fragment(event)
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        """More of a message."""
        self._count_fragment(event)
        if len(self.frames) < MAX_FRAGMENTS:
            super().handle_cont(event)
        elif not self._deaf:
            self._deaf = True
            self.conn.fail(CloseCode.MESSAGE_TOO_BIG, f"expected at most {MAX_FRAGMENTS} frames a message")
            self.handle_parser_exception()

    def handle_ping(self) -> None:
        """Answers; hangs up on a client that sends pings and takes no pongs."""
        self._count()
        super().handle_ping()
        if self.transport.get_write_buffer_size() > MAX_UNSENT:
            self.transport.abort()

    def handle_pong(self, event: Frame) -> None:
        """Asked for or not."""
        self._count()
        super().handle_pong(event)

    def _count_fragment(self, event: Frame) -> None:
        if not event.fin:  # the last one is counted with the message
            self._count()

    def _count(self) -> None:
        """The application sees whole messages only, so what else comes is counted here, against what the gate allowed this client."""
        quota = self.scope["state"].get("quota")
        if quota is None or self._deaf:
            return
        try:
            quota.frame(0)
        except LimitError as error:
            self._deaf = True
            over: Any = {"type": "websocket.receive", "error": error}  # which duplex.py raises
            self.queue.put_nowait(over)
