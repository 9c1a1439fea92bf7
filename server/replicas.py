"""The application as replicas of Ray Serve: what is deployed, on which devices, and when a replica counts as sound.

Knows settings and Ray's names for them; knows no signal and no address. Ray is imported where something is deployed only.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Self

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, model_validator

from errors import InvalidValueError
from server.app import create_app
from server.config import ServerConfig
from server.logs import configure_logs
from server.serve import check_device
from server.worker import Worker

NAME = "proactivellm"
LOADING_POLL = 0.05  # seconds
# Settings that would not be what they say: each replica knows of itself only.
ALONE = {
    "simuleval": "its one session is at one process",
    "record": "each replica would delete the recordings of the others to keep to record_limit",
}


class Replicas(BaseModel):
    """How many replicas there are; where the two bounds differ, Ray chooses by the number of connections."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_replicas: int = Field(default=1, ge=1)
    max_replicas: int = Field(default=1, ge=1)
    sessions: int = Field(default=16, ge=1, description="open connections a replica that another replica is started above")
    upscale_delay: float = Field(default=30.0, ge=0, description="seconds of more than that before another is started")
    downscale_delay: float = Field(default=600.0, ge=0, description="seconds of fewer before one is taken away")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError(f"expected min_replicas to be at most max_replicas ({self.max_replicas}), got {self.min_replicas}")
        return self


def options(config: ServerConfig, replicas: Replicas) -> dict[str, Any]:
    """Of the deployment, in Ray's words. A websocket is one request that lasts as long as it is open.

    Raises InvalidValueError for a setting that several replicas cannot keep to, or a device by its number.
    """
    for name, why in ALONE.items():
        if getattr(config, name) is not None:
            raise InvalidValueError(f"expected no {name} with replicas, got one: {why}", param=name)
    if ":" in config.device:
        raise InvalidValueError(f"expected device to be cpu or cuda, as Ray gives each replica one, got {config.device!r}", param="device")
    chosen: dict[str, Any] = {
        "name": NAME,
        "max_ongoing_requests": config.max_connections,
        "graceful_shutdown_timeout_s": config.grace_seconds,
        "graceful_shutdown_wait_loop_s": 0.5,
        "health_check_period_s": 5.0,
        "max_constructor_retry_count": 2,  # a model that is not there will not be there the next time
        "ray_actor_options": {"num_cpus": config.threads or 1, "num_gpus": int(config.device == "cuda")},
    }
    if replicas.min_replicas == replicas.max_replicas:
        return {**chosen, "num_replicas": replicas.min_replicas}
    scaling = {
        **replicas.model_dump(include={"min_replicas", "max_replicas"}),
        "target_ongoing_requests": replicas.sessions,
        "upscale_delay_s": replicas.upscale_delay,
        "downscale_delay_s": replicas.downscale_delay,
    }
    return {**chosen, "autoscaling_config": scaling}


async def check_health(worker: Worker) -> None:
    """Waits while the models are being loaded. Raises what loading them raised, and RuntimeError for a device that fails or is stuck.

    Ray sends a replica nothing before the first call returned, and replaces one after three in a row that raised.
    """
    while worker.loading and worker.failed is None:
        await asyncio.sleep(LOADING_POLL)
    if worker.failed is not None:
        raise worker.failed
    if worker.stalled:
        raise RuntimeError("expected the device's thread to tick, it is stalled")


def build(args: Mapping[str, Any]) -> Any:
    """Ray's application, for `serve-ray` and for `deploy/ray/serve.yaml`. args: fields of `Replicas`, and `settings`, those of the server.

    Raises pydantic's ValidationError for a value, and InvalidValueError.
    """
    from ray import serve  # noqa: PLC0415 (an extra)

    config = ServerConfig(**args.get("settings", {}))
    chosen = options(config, Replicas(**{name: value for name, value in args.items() if name != "settings"}))

    class Replica:
        """What Ray makes one of in each process."""

        app: FastAPI  # of the ingress around it

        async def check_health(self) -> None:
            """Ray's word for it."""
            await check_health(self.app.state.worker)

    return serve.deployment(serve.ingress(_maker(config.model_dump()))(Replica), **chosen).bind()


def _maker(settings: dict[str, Any]) -> Callable[[], FastAPI]:
    """Makes the application in the replica's process: what it holds does not travel."""

    def make() -> FastAPI:
        config = ServerConfig(**settings)
        check_device(config.device)
        configure_logs(config.log_level, config.log_format)
        return create_app(config)

    return make
