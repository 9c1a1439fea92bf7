"""How items are run under many policies: texts on shared probes, recordings on the engine. Knows no metric and no claim."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from backbones.loading import Checkpoint
from evaluation.backends import OnEngine
from evaluation.drive import Job
from evaluation.evaluate import Backend
from evaluation.record import Record
from evaluation.shared_probes import OnSharedProbes
from tasks.example import Example


@dataclass(frozen=True)
class _ItemByItem:
    """All records of an item before those of the next, as OnSharedProbes gives them; its policies share the engine's ticks."""

    engine: OnEngine

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        for _, of_item in groupby(jobs, key=lambda job: job[1].id):
            yield from self.engine.run(list(of_item))


def backend_for(checkpoint: Checkpoint, task: str, examples: Sequence[Example]) -> Backend:
    """Of jobs that come item by item."""
    if any(example.audio is not None for example in examples):
        return _ItemByItem(OnEngine(checkpoint, task))
    return OnSharedProbes(checkpoint, task)
