"""The gate before every route: how many websockets, of which origin, with which key. What is not listed as open needs a key.

A new route is guarded without doing anything for it. Knows ASGI and the wire's `error`; knows no session.
"""

import asyncio
import contextlib

import structlog
from fastapi import WebSocket, WebSocketDisconnect
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from errors import LimitError, ProactiveError
from server import realtime, wire
from server.auth import ForbiddenError, Guard, carries_credential
from server.events import CLOSE_CODES, to_error
from server.keys import Caller
from server.limits import Limits
from server.metrics import Metrics
from server.pages import is_page
from server.refusals import refusal

log = structlog.get_logger()
OPEN = frozenset({"/healthz", "/readyz"})  # for whoever asks: a probe has no key
KEY_ONLY = frozenset({"/metrics", "/v1/tokens"})  # not for tokens: those are in browsers
TELL_SECONDS = 1.0  # to take one event and its close


class Gate:
    """ASGI middleware. Behind it `state.caller` and `state.quota` of a request or websocket are there."""

    def __init__(self, app: ASGIApp, guard: Guard, limits: Limits, metrics: Metrics, max_connections: int) -> None:
        self._app, self._guard, self._limits, self._metrics = app, guard, limits, metrics
        self._sockets, self._max_sockets = 0, max_connections

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lets through, or answers itself."""
        if scope["type"] == "lifespan" or (scope["type"] == "http" and (scope["path"] in OPEN or is_page(scope["path"]))):
            await self._app(scope, receive, send)
            return
        try:
            caller = self._admit(scope)
            quota = self._limits.quota(caller) if caller is None else self._limits.quota(caller, lambda: self._guard.check_still(caller))
            if scope["type"] == "http":
                quota.frame(0)  # its body is small, or is measured where it is read
        except ProactiveError as error:
            await self._refuse(error, scope, receive, send)
            return
        scope.setdefault("state", {}).update(caller=caller, quota=quota)
        if scope["type"] == "http":
            await self._app(scope, receive, send)
            return
        self._sockets += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._sockets -= 1

    def _admit(self, scope: Scope) -> Caller | None:
        if scope["type"] == "websocket" and self._sockets >= self._max_sockets:
            self._metrics.limits.labels("connections", "server").inc()
            raise LimitError("no_capacity", f"expected at most {self._max_sockets} connections at a time", retry_after=1.0)
        headers = Headers(scope=scope)
        self._guard.check_origin(headers)
        self._guard.check_host(headers)
        caller = self._guard.caller(headers, scope.get("subprotocols", ()))
        if caller is not None and caller.expires is not None and scope["path"] in KEY_ONLY:
            raise ForbiddenError("expected an API key, got a token: tokens are for streams and /v1/models")
        return caller

    async def _refuse(self, error: ProactiveError, scope: Scope, receive: Receive, send: Send) -> None:
        self._metrics.errors.labels(error.code).inc()
        log.info("gate.refused", code=error.code, path=scope["path"][:80])
        if scope["type"] == "websocket" and (carries_credential(scope["subprotocols"]) or "origin" in Headers(scope=scope)):
            await _tell(error, WebSocket(scope, receive, send))
            return
        response = refusal(error)
        if scope["type"] == "http":
            await response(scope, receive, send)
        else:
            await WebSocket(scope, receive, send).send_denial_response(response)


async def _tell(error: ProactiveError, socket: WebSocket) -> None:
    """A browser sees nothing of a refused handshake: it is accepted, told and closed."""
    theirs = socket.scope["path"] == realtime.PATH
    spoken = realtime.SUBPROTOCOL if theirs else wire.SUBPROTOCOL
    chosen = spoken if spoken in socket.scope["subprotocols"] else None
    event = realtime.refusal(error) if theirs else to_error(error, 1)
    with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
        async with asyncio.timeout(TELL_SECONDS):
            await socket.accept(subprotocol=chosen)
            await socket.send_text(event.model_dump_json())
            await socket.close(CLOSE_CODES[error.code], error.code)
