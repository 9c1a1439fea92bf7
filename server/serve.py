"""Runs the application in a process: the socket, uvicorn, logs, exit codes. Knows no protocol."""

import logging
import socket
import sys

import structlog
import uvicorn

from errors import InvalidValueError
from server.app import create_app
from server.config import ServerConfig, is_loopback

# Of the transport: a larger frame is closed with 1009 before it is read. One of ours between the two limits is told why.
HARD_FRAME_LIMIT = 1 << 20


def serve(config: ServerConfig) -> int:
    """Serves until told to stop. Returns the exit code: 1 if the models could not be loaded or the device's thread died.

    Raises InvalidValueError for an address beyond loopback without `insecure`, or one that cannot be bound.
    """
    if not config.insecure and not is_loopback(config.host):
        raise InvalidValueError(
            f"expected a loopback address such as 127.0.0.1, got {config.host!r}: anybody who reaches it could use the server, as "
            "there are no keys yet; --insecure allows it",
            param="host",
        )
    configure_logs(config.log_level)
    app = create_app(config)
    server = uvicorn.Server(uvicorn_config(app, config))
    worker = app.state.worker

    def stop() -> None:
        server.should_exit = True

    worker.on_failure = stop
    server.run(sockets=[bind(config)])
    return 1 if worker.failed is not None else 0


def uvicorn_config(app: object, config: ServerConfig) -> uvicorn.Config:
    """uvicorn's settings: no compression (short frames, and a bomb's best friend), our logs, a short queue."""
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
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
