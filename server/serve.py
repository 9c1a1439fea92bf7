"""Runs the application in a process: the socket, uvicorn, logs, exit codes. Knows no protocol."""

import logging
import socket
import sys

import structlog
import torch
import uvicorn
from fastapi import FastAPI

from errors import InvalidValueError, ProactiveError
from server.app import create_app
from server.config import ServerConfig, is_loopback

# Of the transport: a larger frame is closed with 1009 before it is read. One of ours between the two limits is told why.
HARD_FRAME_LIMIT = 1 << 20


def serve(config: ServerConfig) -> int:
    """Serves until told to stop. Returns the exit code: 1 if the models could not be loaded or the device's thread died.

    Raises InvalidValueError for an address beyond loopback without `insecure`, one that cannot be bound, or a device that is not there;
    and what loading the models raised, if that was foreseen.
    """
    if not config.insecure and not is_loopback(config.host):
        raise InvalidValueError(
            f"expected a loopback address such as 127.0.0.1, got {config.host!r}: anybody who reaches it could use the server, as "
            "there are no keys yet; --insecure allows it",
            param="host",
        )
    check_device(config.device)
    configure_logs(config.log_level)
    app = create_app(config)
    server = Server(uvicorn_config(app, config))
    worker = app.state.worker

    def stop() -> None:
        server.should_exit = True

    worker.on_failure = stop
    server.run(sockets=[bind(config)])
    if isinstance(worker.failed, ProactiveError):
        raise worker.failed
    return 1 if worker.failed is not None else 0


def check_device(name: str) -> None:
    """Raises InvalidValueError for a device that torch does not know, or does not find here."""
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda"):
        raise InvalidValueError(f"expected device to be cpu, cuda or cuda:N, got {name!r}", param="device")
    found = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= found:
        raise InvalidValueError(f"expected a CUDA device for {name!r}, torch finds {found or 'none'} here; --device cpu", param="device")


class Server(uvicorn.Server):
    """uvicorn, which closes websockets without a word when it stops: here their clients are told first."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Tells the clients, then does what uvicorn does."""
        app = self.config.app
        assert isinstance(app, FastAPI)
        await app.state.leave()
        await super().shutdown(sockets)


def uvicorn_config(app: FastAPI, config: ServerConfig) -> uvicorn.Config:
    """uvicorn's settings: no compression (short frames, and a bomb's best friend), our logs, a short queue."""
    return uvicorn.Config(
        app,
        ws="websockets-sansio",
        ws_max_size=max(HARD_FRAME_LIMIT, 2 * config.max_message_bytes),
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
    )


def bind(config: ServerConfig) -> socket.socket:
    """The listening socket. A bounded send buffer, inherited by every connection, so that a slow reader is noticed in time."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, config.send_buffer)
    try:
        listening.bind((config.host, config.port))
    except OSError as error:
        listening.close()
        raise InvalidValueError(f"expected to bind {config.host}:{config.port}: {error.strerror}", param="port") from error
    listening.listen(512)
    host, port = listening.getsockname()[:2]
    structlog.get_logger().info("server.listening", url=f"ws://{f'[{host}]' if ':' in host else host}:{port}/v1/stream")
    return listening


def configure_logs(level: str) -> None:
    """Structured lines on standard error: JSON, or coloured text on a terminal. Never any stream content."""
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=max(number, logging.WARNING))
    render = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
