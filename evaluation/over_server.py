"""Runs items through a running server, by the Python client; with a pace also by the clock. Knows the client only.

The same messages as evaluation/drive.py sends, so delays and text are the same.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable
from dataclasses import fields
from typing import Any

import proactivellm_client as client

from engine import actions
from engine.request import Request
from errors import InvalidValueError, ProactiveError
from evaluation.drive import Job
from evaluation.record import Clock, Record, Trace
from tasks.words import pieces


async def run(
    url: str, task: str, jobs: Iterable[Job], *, model: str | None, at_once: int, pace: float = 0.0, max_output_tokens: int | None = None
) -> AsyncGenerator[Record]:
    """The records of the jobs as they end, `at_once` connections at a time; `pace` is in words a second, 0 as fast as they go.

    Raises ProactiveError, naming the item, for what the server refuses and where no server is.
    """
    waiting = iter(jobs)
    running: set[asyncio.Task[Record]] = set()
    try:
        while True:
            while len(running) < at_once and (job := next(waiting, None)) is not None:
                running.add(asyncio.create_task(_one(url, task, job, model, pace, max_output_tokens)))
            if not running:
                return
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for finished in done:
                yield finished.result()
    finally:
        for task_left in running:
            task_left.cancel()


async def _one(url: str, task: str, job: Job, model: str | None, pace: float, max_output_tokens: int | None) -> Record:
    policy, example = job
    if example.audio is not None:
        raise InvalidValueError(f"item {example.id!r}: expected text, over a server; got a recording")
    trace = Trace(policy, example)
    options = _options(policy.request(task, example, max_output_tokens=max_output_tokens), model)
    sent: list[float] = []
    came: list[float] = []
    try:
        async with client.connect(url).session(task, **options) as session:
            started = time.perf_counter()
            sender = asyncio.create_task(_send(session, pieces(example.source), pace, started, sent))
            try:
                async for event in session:
                    _take(trace, event)
                    if isinstance(event, client.Decision) and event.action == "write":
                        came.append(time.perf_counter() - started)
            finally:
                sender.cancel()
    except client.ClientError as error:
        raise ProactiveError(f"item {example.id!r}: {error}") from error
    assert trace.done is not None
    clock = Clock(sent=tuple(sent), writes=tuple(came[: trace.done.usage.target_tokens])) if pace else None
    return trace.record(clock=clock)


async def _send(session: client.Session, words: list[str], pace: float, started: float, sent: list[float]) -> None:
    for number, word in enumerate(words):
        if pace:
            await asyncio.sleep(max(0.0, started + number / pace - time.perf_counter()))
        sent.append(time.perf_counter() - started)
        await session.send(word)
    await session.end()


def _options(request: Request, model: str | None) -> Any:
    """The request as the client's options."""
    head = {"name": request.head, **request.head_params} if request.head_params else request.head
    return {
        "model": model,
        "inputs": dict(request.inputs),
        "head": head,
        "threshold": request.threshold,
        "tier": request.tier,
        "max_output_tokens": request.max_output_tokens,
        "include_decisions": request.decisions,
    }


_ACTIONS: dict[type[Any], type[Any]] = {
    client.Write: actions.Write,
    client.Read: actions.Read,
    client.Decision: actions.Decision,
}


def _take(trace: Trace, event: client.Event) -> None:
    """The client's event as the engine's."""
    if isinstance(event, client.Done):
        usage = actions.Usage(**{field.name: getattr(event.usage, field.name) for field in fields(actions.Usage)})
        trace.take(actions.Done(event.text, event.reason, usage, event.rco, event.ail))  # type: ignore[arg-type]  # a word on the wire
    elif isinstance(event, client.Error):
        error = ProactiveError(event.message)
        error.code = event.code
        trace.take(actions.Failure(error, event.n or 0))
    elif type(event) in _ACTIONS:
        kind = _ACTIONS[type(event)]
        trace.take(kind(**{field.name: getattr(event, field.name) for field in fields(kind)}))
