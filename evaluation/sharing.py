"""How items are run under many policies: texts on shared probes, what only an engine can do on the engine. Knows no metric and no claim."""

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


def backend_for(checkpoint: Checkpoint, task: str, examples: Sequence[Example], *, item_by_item: bool = False) -> Backend:
    """`item_by_item`: of jobs that come so, and whose records are to come so; in any order the engine has more to do at a time."""
    heard = any(example.audio is not None for example in examples)
    if not heard and checkpoint.config.tasks[task].max_reads is None:
        return OnSharedProbes(checkpoint, task)
    engine = OnEngine(checkpoint, task)
    return _ItemByItem(engine) if item_by_item else engine
