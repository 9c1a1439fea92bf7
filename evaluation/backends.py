"""The two ways to run jobs, behind one call: the engine in this process, or a server elsewhere. Knows no plan and no store."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from backbones.loading import Checkpoint
from errors import InvalidValueError, UnknownNameError
from evaluation.drive import Job, fitting_engine, run
from evaluation.record import Record


@dataclass(frozen=True)
class OnEngine:
    """`slots` items at a time share the engine's ticks; a slot is as long as the longest item needs."""

    checkpoint: Checkpoint
    task: str
    slots: int = 16
    max_output_tokens: int | None = None

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Records as they end. Raises ProactiveError, naming the item."""
        if not jobs:
            return
        examples = {example.id: example for _, example in jobs}.values()
        slots = min(self.slots, len(jobs))
        engine = fitting_engine(self.checkpoint, self.task, examples, slots=slots, max_output_tokens=self.max_output_tokens)
        yield from run(engine, self.task, jobs, max_output_tokens=self.max_output_tokens)


@dataclass(frozen=True)
class OverServer:
    """`at_once` connections at a time; with `pace`, words a second, records have a clock."""

    url: str
    task: str
    model: str | None = None
    at_once: int = 16
    pace: float = 0.0
    max_output_tokens: int | None = None

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Records as they end. Raises ProactiveError, naming the item."""
        from evaluation import over_server  # noqa: PLC0415 (the client is installed where a server is evaluated, not wherever metrics are)

        coming = over_server.run(
            self.url,
            self.task,
            jobs,
            model=self.model,
            at_once=self.at_once,
            pace=self.pace,
            max_output_tokens=self.max_output_tokens,
        )

        async def following() -> Record | None:
            return await anext(coming, None)

        with asyncio.Runner() as runner:
            try:
                while (record := runner.run(following())) is not None:
                    yield record
            finally:
                runner.run(coming.aclose())


def describe(url: str, task: str, model: str | None) -> dict[str, Any]:
    """The entry of `/v1/models` that runs the task.

    Raises InvalidValueError where no server answers, UnknownNameError for model or task.
    """
    parts = urlsplit(url if "//" in url else f"//{url}")
    page = urlunsplit(("https" if parts.scheme in ("wss", "https") else "http", parts.netloc, "/v1/models", "", ""))
    try:
        with urllib.request.urlopen(page, timeout=10) as answer:  # noqa: S310 (http or https, set above)
            models: list[dict[str, Any]] = json.load(answer)["data"]
    except (urllib.error.URLError, OSError, ValueError, KeyError) as error:
        raise InvalidValueError(f"expected a ProactiveLLM server at {url}: {error}", param="server") from error
    if model is not None and model not in {entry["id"] for entry in models}:
        raise UnknownNameError("model", model, (entry["id"] for entry in models))
    for entry in models:
        if task in entry["tasks"] and model in (None, entry["id"]):
            return entry
    raise UnknownNameError("task", task, (name for entry in models for name in entry["tasks"]))
