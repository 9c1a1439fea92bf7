"""A report's folder: run.json says what was run, items.jsonl has a line an item and policy. What is there is not run again.

Knows files; knows no metric.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from errors import InvalidValueError
from evaluation.record import Record

RUN, ITEMS = "run.json", "items.jsonl"


class Run(BaseModel):
    """What records of one folder have in common; `model_hash` is over the weights and settings, where they are at hand.

    unit: of phi and of latencies that count the source; `ms` of recordings
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    model_hash: str | None
    task: str
    data: str
    data_hash: str
    max_output_tokens: int | None = None
    pace: float = 0.0
    unit: Literal["word", "ms"] = "word"
    version: int = 1


class Store:
    """Append-only. A line that a crash cut off is dropped; records of another run are never mixed in."""

    def __init__(self, folder: Path, run: Run) -> None:
        """Opens or makes the folder. Raises InvalidValueError, naming the field, if it holds another run."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        known = read_run(folder)
        if known is not None and known != run:
            before, now = known.model_dump(), run.model_dump()
            name = next(name for name in now if before[name] != now[name])
            raise InvalidValueError(
                f"expected {folder} to hold the same run; its {name} is {before[name]!r}, this one's {now[name]!r}: choose another --out",
                param="out",
            )
        if known is None:
            (folder / RUN).write_text(run.model_dump_json(indent=2) + "\n", encoding="utf-8")
        self.records = read_records(folder)
        whole = "".join(record.model_dump_json() + "\n" for record in self.records)
        path = folder / ITEMS
        if not path.exists() or path.stat().st_size != len(whole.encode()):
            path.write_text(whole, encoding="utf-8")

    def __enter__(self) -> Self:
        self._file = (self.folder / ITEMS).open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def missing(self, jobs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of (policy, id) that are not there yet."""
        return set(jobs) - {(record.policy, record.id) for record in self.records}

    def add(self, record: Record) -> None:
        """Appends; on the disk at once, so that a run that is cut off goes on where it was."""
        self.records.append(record)
        self._file.write(record.model_dump_json() + "\n")
        self._file.flush()


def read_run(folder: Path) -> Run | None:
    """run.json, or None where there is none. Raises InvalidValueError for one that is none of ours."""
    path = folder / RUN
    if not path.exists():
        return None
    try:
        return Run.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise InvalidValueError(f"expected {path} to be of an evaluation: {error.errors(include_url=False)[0]['msg']}") from None


def read_records(folder: Path) -> list[Record]:
    """items.jsonl up to a line that was cut off at its end. Raises InvalidValueError for a bad line before that."""
    path = folder / ITEMS
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    records = []
    for number, line in enumerate(lines[:-1], 1):  # what follows the last line break was cut off
        try:
            records.append(Record.model_validate_json(line))
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            raise InvalidValueError(f"{path}, line {number}: expected a record, got {json.dumps(line[:60])}: {fault['msg']}") from None
    return records
