"""The FastAPI application: `/v1/stream`, `/v1/models`, health and metrics. Wires the parts together and holds no logic of its own."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from engine.engine import Engine
from heads import known
from server import pages, realtime, simuleval, transcribe, wire
from server.auth import Guard
from server.config import ServerConfig
from server.connection import Connection
from server.drain import Connections, Drain
from server.gate import Gate
from server.limits import Limits
from server.metrics import Metrics
from server.overload import Overload
from server.pulse import Pulse
from server.recording import Recorder
from server.resume import Resumes
from server.spool import Spool
from server.timing import Timings
from server.watchdog import Watchdog
from server.worker import Loader, Worker, load_checkpoint


def create_app(config: ServerConfig, loader: Loader = load_checkpoint) -> FastAPI:
    """The application; its worker starts and stops with the lifespan.

    Raises InvalidValueError for a file of keys that cannot be read.
    `app.state.worker` is there for the process and for tests; `await app.state.drain(hurry)` lets sessions finish (server/drain.py), and
    `await app.state.leave()` tells every client and closes its connection.
    """
    metrics = Metrics()
    worker = Worker(config, metrics, loader)
    timings, limits = Timings(metrics), Limits(config, metrics)
    worker.watches.append(timings.watch)
    drain = Drain(lambda: limits.sessions)
    overload = Overload(tick=config.overload_tick_seconds, queue=config.overload_queue_seconds, shed=config.shed)
    pulse = Pulse(worker, metrics, timings, overload, Watchdog(worker, metrics, config.watchdog_seconds))
    worker.checks += [drain.check, pulse.check]
    metrics.ready.set_function(lambda: worker.ready)
    spool = None if config.record is None else Spool(config.record, config.record_limit, metrics)
    if spool is not None:
        worker.watches.append(Recorder(spool).watch)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        with contextlib.nullcontext() if spool is None else spool:
            worker.start()
            beating = asyncio.create_task(pulse.run())
            try:
                yield
            finally:
                beating.cancel()
                worker.stop()

    app = FastAPI(title="ProactiveLLM", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    app.state.worker, app.state.metrics = worker, metrics
    _guard(app, config, metrics, limits)
    connections = Connections(metrics)
    _mount_stream(app, config, worker, metrics, drain, connections)
    _mount_pages(app, worker, metrics, drain)
    transcribe.mount(app, worker, config, metrics, connections)
    if config.simuleval is not None:
        simuleval.mount(app, config.simuleval, worker, config, metrics)
    pages.mount(app)  # last: SimulEval's `GET /` goes before the page's
    return app


def _guard(app: FastAPI, config: ServerConfig, metrics: Metrics, limits: Limits) -> None:
    """The gate before every route, and the one route of its own: a browser token for who has a key."""
    guard = Guard(config)
    app.add_middleware(Gate, guard, limits, metrics, config.max_connections)
    if config.allow_origin:  # outside the gate: a browser asks whether it may ask, without a key
        app.add_middleware(CORSMiddleware, allow_origins=config.allow_origin, allow_headers=["Authorization", "X-API-Key"])
    if not guard.has_keys:
        return

    @app.post("/v1/tokens")
    async def tokens(request: Request) -> JSONResponse:
        told = {"token": guard.issue(request.state.caller), "expires_in": config.token_seconds}
        return JSONResponse(told, headers={"Cache-Control": "no-store"})


def _mount_stream(app: FastAPI, config: ServerConfig, worker: Worker, metrics: Metrics, drain: Drain, connections: Connections) -> None:
    resumes = Resumes(config, metrics)

    @app.websocket("/v1/stream")
    async def stream(socket: WebSocket) -> None:
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=wire.SUBPROTOCOL if wire.SUBPROTOCOL in offered else None)
        connection = Connection(socket, worker, config, metrics, resumes, drain.left)
        await connections.serve(connection)
        if connection.resumes is not None:
            other, last_seq = connection.resumes
            await connections.serve(other, other.carry_on(socket, last_seq))

    realtime.mount(app, worker, config, metrics, connections.serve)

    async def leave() -> None:
        for parked in resumes.parked():
            parked.abandon()
        await connections.close()

    app.state.drain = lambda hurry: drain.run([*connections.open(), *resumes.parked()], config.grace_seconds, hurry)
    app.state.leave = leave


def _mount_pages(app: FastAPI, worker: Worker, metrics: Metrics, drain: Drain) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        if worker.ready and not drain.begun:
            return JSONResponse({"status": "ready"})
        if drain.begun:
            why = "draining"
        else:
            why = "loading" if worker.loading and worker.failed is None else "failed" if worker.failed else "stalled"
        return JSONResponse({"status": why}, status_code=503)

    @app.get("/metrics")
    async def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        return {"object": "list", "heads": sorted(known()), "data": [describe(name, engine) for name, engine in worker.engines.items()]}


def describe(name: str, engine: Engine) -> dict[str, Any]:
    """One model as `/v1/models` shows it: its tasks with inputs and tiers, and what a slot holds."""
    checkpoint = engine.checkpoint
    return {
        "id": name,
        "object": "model",
        "unit": checkpoint.config.unit,
        "modalities": ["text", "audio"] if checkpoint.hears else ["text"],
        "slots": engine.capacity.slots,
        "slot_length": engine.capacity.slot_length,
        "tasks": {
            task: {
                "inputs": {
                    key: {"description": declared.description, "default": declared.default} for key, declared in spec.inputs.items()
                },
                "default_head": spec.default_head,
                "default_tier": spec.default_tier,
                "rollover": spec.may_roll_over,
                "tiers": {
                    head: {tier: value.model_dump() for tier, value in tiers.items()}
                    for head, tiers in checkpoint.tiers.get(task, {}).items()
                },
            }
            for task, spec in checkpoint.config.tasks.items()
        },
    }
