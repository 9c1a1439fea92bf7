"""What a run says while it goes: a line for people, TensorBoard, and metrics.jsonl. Knows numbers by name and nothing of models."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any, TextIO

from rich.console import Console

METRICS = "metrics.jsonl"


class Progress:
    """Writes each step's numbers; prints a line every `every` steps. Without `out` it is silent: another process speaks.

    step, done: the last step of what is continued, and the share of the run that is behind
    """

    def __init__(self, out: Path | None, console: Console, *, step: int, done: float, every: int) -> None:
        self._console, self._every = console if out else None, every
        self._began, self._done_before = monotonic(), done
        self._since, self._tokens, self._rows = monotonic(), 0, 0
        self._file = _continued(out / METRICS, step) if out else None
        self._board = _board(out / "tensorboard", step) if out else None
        self._taken = True  # by the disk, last time

    def step(self, step: int, numbers: Mapping[str, float], *, tokens: int, rows: int, done: float) -> None:
        """Of one optimizer step over so many source and target tokens, in so many packed rows; `done`: share of the run."""
        self._tokens += tokens
        self._rows += rows
        self.write(step, numbers)
        if step % self._every:
            return
        took = monotonic() - self._since
        left = (monotonic() - self._began) / max(done - self._done_before, 1e-9) * (1 - done)
        losses = " · ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        speed = f"{self._tokens / took:,.0f} tokens/s ({self._rows / took:,.0f} rows/s)"
        self.say(f"step {step} · {done:.1%} · {losses} · {speed} · {timedelta(seconds=round(left))} left")
        self._since, self._tokens, self._rows = monotonic(), 0, 0

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """To the files alone."""
        if self._file is None or self._board is None:
            return
        try:
            self._file.write(json.dumps({"step": step, **numbers}) + "\n")
            self._file.flush()
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)
            self._taken = True
        except OSError as error:
            # A full disk: numbers are not worth a run, nor a line a step.
            if self._taken:
                self.say(f"step {step} · expected to write the run's numbers: {error}; training goes on")
            self._taken = False

    def say(self, line: str) -> None:
        """To people alone."""
        if self._console:
            self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        """Everything is on disk afterwards, if there is room for it."""
        if self._file and self._board:
            for opened in (self._file, self._board):
                with suppress(OSError):
                    opened.close()


def read_metrics(out: Path) -> list[dict[str, float]]:
    """The lines of metrics.jsonl, in order; a last line that was cut off is left out."""
    found = []
    with suppress(FileNotFoundError), (out / METRICS).open(encoding="utf-8") as file:
        for line in file:
            with suppress(json.JSONDecodeError):
                found.append(json.loads(line))
    return found


def _continued(path: Path, step: int) -> TextIO:
    """Open for more, without what was written after the checkpoint that is continued: it comes again."""
    kept = [line for line in read_metrics(path.parent) if line["step"] <= step]
    path.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")
    return path.open("a", encoding="utf-8")


def _board(folder: Path, step: int) -> Any:
    from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415 (seconds to import)

    return SummaryWriter(str(folder), purge_step=step + 1)
