"""How far an evaluation is: a bar a stage on a terminal, a line a minute in a log. Knows neither policies nor what is counted."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

EVERY = 60.0  # seconds between two lines


@dataclass(frozen=True)
class Progress:
    """Told before and during each stage: what it is, how many records it needs, how many are there."""

    stage: Callable[[str, int], None]
    advance: Callable[[], None]


@contextmanager
def shown() -> Iterator[Progress]:
    """A bar a stage, with an estimate of what is left; where stdout is no terminal, lines on stderr."""
    if not sys.stdout.isatty():
        lines = Lines()
        yield Progress(lines.stage, lines.advance)
        return
    with Bar(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()) as bar:

        def stage(name: str, total: int) -> None:
            if total:
                bar.add_task(name, total=total)

        yield Progress(stage, lambda: bar.advance(bar.task_ids[-1]))


class Lines:
    """`name: done of total · elapsed · left` once a minute and at a stage's end."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._name, self._done, self._total = "", 0, 0
        self._begun = self._told = 0.0

    def stage(self, name: str, total: int) -> None:
        """A stage of `total` records begins."""
        self._name, self._done, self._total = name, 0, total
        self._begun = self._told = self._now()

    def advance(self) -> None:
        """One record more."""
        self._done += 1
        now = self._now()
        if self._done == self._total or now - self._told >= EVERY:
            self._told = now
            took = now - self._begun
            clocks = f"{_clock(took)} · {_clock(took / self._done * (self._total - self._done))} left"
            print(f"{self._name}: {self._done} of {self._total} · {clocks}", file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
