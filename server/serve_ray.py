"""Runs replicas of the application on Ray Serve until a signal: Ray, its address, its noise. Knows no replica from within."""

import os
import re
import secrets
import signal
import threading
from pathlib import Path
from typing import Any

import structlog
from pydantic import SecretStr

from errors import InvalidValueError, ProactiveError
from server.config import ServerConfig
from server.logs import configure_logs
from server.replicas import NAME, Replicas, build, options
from server.serve import check_open, warn_clear_text

log = structlog.get_logger()


def serve_ray(config: ServerConfig, replicas: Replicas, address: str) -> None:
    """Serves until told to stop; then sessions may go on for `grace_seconds`. address: of a Ray cluster, `auto` or `local`.

    Raises InvalidValueError as `serve` does, for settings that replicas cannot keep to and for a cluster that is not there, and
    ProactiveError if no replica comes up.
    """
    check_open(config)
    options(config, replicas)  # what cannot be deployed is told before Ray is started, which takes seconds
    configure_logs(config.log_level, config.log_format)
    warn_clear_text(config)
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports home otherwise
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 otherwise, as for batch work: beside any other process replicas starve
    import ray  # noqa: PLC0415 (an extra)
    from ray import serve  # noqa: PLC0415

    told = threading.Event()
    _start(address)
    try:
        for number in (signal.SIGTERM, signal.SIGINT):  # Ray has set its own by now
            signal.signal(number, lambda *_: told.set())
        serve.start(http_options=_http(config))
        try:
            serve.run(build({**replicas.model_dump(), "settings": travelling(config)}), name=NAME, route_prefix="/")
        except RuntimeError as error:
            raise ProactiveError(f"expected a replica to come up: {_why(serve) or error}") from None
        scheme = "ws" if config.ssl_certfile is None else "wss"
        log.info("server.listening", url=f"{scheme}://{config.host}:{config.port}/v1/stream")
        told.wait()
        log.info("server.draining", seconds=config.grace_seconds)
        serve.delete(NAME)  # waits for the replicas, whose sessions go on meanwhile
        serve.shutdown()
    finally:
        ray.shutdown()


def travelling(config: ServerConfig) -> dict[str, Any]:
    """The settings as they are sent to other processes: files by their whole path, one secret for the browser tokens of all replicas."""
    settings = config.model_dump()
    settings["model"] = [str(Path(name).resolve()) if Path(name).exists() else name for name in config.model]
    for name in ("adapter", "api_keys_file"):
        if (file := settings[name]) is not None and Path(file).exists():
            settings[name] = str(Path(file).resolve())
    if config.token_secret is None:
        settings["token_secret"] = SecretStr(secrets.token_hex(32))
    return settings


def _start(address: str) -> None:
    import ray  # noqa: PLC0415 (an extra)

    where: dict[str, Any] = {"_node_ip_address": "127.0.0.1", "include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, logging_level="warning", **where)
    except ConnectionError as error:
        raise InvalidValueError(f"expected a Ray cluster at {address!r}: {error}", param="address") from None
    except Exception as error:  # Ray raises no narrower one where its own processes do not come up in time
        raise ProactiveError(f"expected Ray to start: {error}") from error


def _http(config: ServerConfig) -> dict[str, Any]:
    """Of Ray's proxies, one on each machine that has a replica. They end TLS."""
    files = {"ssl_keyfile": config.ssl_keyfile, "ssl_certfile": config.ssl_certfile}
    return {"host": config.host, "port": config.port, **{name: str(file) for name, file in files.items() if file is not None}}


def _why(serve: Any) -> str:
    found = serve.status().applications.get(NAME)
    return "" if found is None else "; ".join(filter(None, (cause(one.message) for one in found.deployments.values())))


def cause(message: str) -> str:
    """Of Ray's word for what failed in a replica, tracebacks within tracebacks, what was raised first; the logs have the rest."""
    raised = [line.start() for line in re.finditer(r"^[A-Za-z_][\w.]*: ", message, re.MULTILINE)]
    return message[raised[-1] :].removeprefix("errors.").strip() if raised else message
