"""Runs the application in a process: the socket, uvicorn, logs, exit codes. Knows no protocol."""

import contextlib
import resource
import signal
import socket
from collections.abc import Iterator

import structlog
import torch
import uvicorn
from fastapi import FastAPI

from errors import InvalidValueError, ProactiveError
from server.app import create_app
from server.config import ServerConfig, is_loopback
from server.logs import configure_logs
from server.transport import BoundedConfig, Pending

# Of the transport: a larger frame is closed with 1009 before it is read. One of ours between the two limits is told why.
HARD_FRAME_LIMIT = 1 << 20


def serve(config: ServerConfig) -> int:
    """Serves until told to stop. Returns the exit code: 1 if the models could not be loaded or the device's thread died.

    Raises InvalidValueError for an address beyond loopback without keys or `insecure`, one that cannot be bound, a certificate or file of
    keys that cannot be read, or a device that is not there;
    and what loading the models raised, if that was foreseen.
    """
    check_open(config)
    check_device(config.device)
    configure_logs(config.log_level, config.log_format)
    warn_clear_text(config)
    _allow_files(config.max_connections + config.max_requests)
    app = create_app(config)
    server = Server(_loaded(uvicorn_config(app, config)))
    worker = app.state.worker

    def stop() -> None:
        server.should_exit = True

    worker.on_failure = stop
    server.run(sockets=[bind(config)])
    if isinstance(worker.failed, ProactiveError):
        raise worker.failed
    return 1 if worker.failed is not None else 0


def check_open(config: ServerConfig) -> None:
    """Raises InvalidValueError for an address beyond loopback without keys or `insecure`."""
    if not config.insecure and not is_loopback(config.host) and config.api_keys_file is None:
        raise InvalidValueError(
            f"expected --api-keys-file for an address beyond loopback, got {config.host!r} without: anybody who reaches it could use the "
            "server; --insecure allows it",
            param="host",
        )


def warn_clear_text(config: ServerConfig) -> None:
    """Keys are secrets only as long as nobody reads them on their way."""
    if config.api_keys_file is not None and config.ssl_certfile is None and not is_loopback(config.host):
        structlog.get_logger().warning("server.no_tls", why="keys come in clear text unless something before this server ends TLS")


def _allow_files(sockets: int) -> None:
    """A server that has no descriptors left takes no connection, however many the settings allow; systems begin with 1,024 or less."""
    wanted = sockets + 256  # models, logs, recordings
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted:
            structlog.get_logger().warning("server.few_files", allowed=soft, needed=wanted, why="max_connections and max_requests")


def _loaded(settings: uvicorn.Config) -> uvicorn.Config:
    """Reads what uvicorn reads from files, here where it can be told in one line."""
    try:
        settings.load()
    except OSError as error:  # ssl's errors are some
        raise InvalidValueError(f"expected a certificate and its key in PEM: {error}", param="ssl_certfile") from None
    return settings


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
        """Lets sessions finish if it was a signal, tells the clients, then does what uvicorn does."""
        app = self.config.app
        assert isinstance(app, FastAPI)
        if self._captured_signals:
            await app.state.drain(lambda: len(self._captured_signals) > 1)
        await app.state.leave()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """As uvicorn, which in the end raises the signals again: a server that was told to stop, and did, ends with 0."""
        with super().capture_signals():
            yield
            self._captured_signals = [number for number in self._captured_signals if number != signal.SIGTERM]


def uvicorn_config(app: FastAPI, config: ServerConfig) -> uvicorn.Config:
    """uvicorn's settings: no compression (short frames, and a bomb's best friend), our logs, a short queue."""
    met = app.state.metrics.limits.labels("requests", "server")
    return BoundedConfig(
        app,
        Pending(config.max_requests, config.request_seconds, met.inc),
        ws_max_size=max(HARD_FRAME_LIMIT, 2 * config.max_message_bytes),
        ws_per_message_deflate=False,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=5,
        ssl_keyfile=config.ssl_keyfile,
        ssl_certfile=config.ssl_certfile,
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
    scheme = "ws" if config.ssl_certfile is None else "wss"
    structlog.get_logger().info("server.listening", url=f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/v1/stream")
    return listening
