"""OpenAI's Realtime protocol (GA) in front of the same worker: `/v1/realtime`, as docs/openai.md describes it."""

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, WebSocket

from errors import ProactiveError
from server.config import ServerConfig
from server.duplex import Duplex
from server.metrics import Metrics
from server.realtime.connection import RealtimeConnection
from server.realtime.events import ErrorEvent
from server.realtime.response import told
from server.worker import Worker

PATH = "/v1/realtime"
SUBPROTOCOL = "realtime"  # what OpenAI's clients offer in a browser, beside their key


def mount(app: FastAPI, worker: Worker, config: ServerConfig, metrics: Metrics, serve: Callable[[Duplex], Awaitable[None]]) -> None:
    """Adds `/v1/realtime`; `serve` runs a connection to its end."""

    @app.websocket(PATH)
    async def realtime(socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None)
        await serve(RealtimeConnection(socket, worker, config, metrics))


def refusal(error: ProactiveError) -> ErrorEvent:
    """What a client is told that may not come in."""
    return ErrorEvent(error=told(error, event_id=None))
