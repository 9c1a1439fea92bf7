"""What is committed of a run, item by item: numbers only, no text of the data, so that their licences do not bind.

Knows files and their columns; knows no metric, no model and no claim.
"""

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from errors import InvalidValueError
from evaluation.policies import Policy

FOLDER = Path(__file__).parent / "results"
SUFFIX = ".jsonl.gz"


class Point(BaseModel):
    """A policy of a run.

    curve, threshold, tier: of the policy
    purpose:                what it is run for: `point` (judged), `tier`, `curve`, `baseline`, or the policy that it is to be as fast as
    metric, target:         the latency that its threshold was chosen for, on development data
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    curve: str
    threshold: float | None = None
    tier: str | None = None
    purpose: str = "baseline"
    metric: str | None = None
    target: float | None = None

    @property
    def policy(self) -> Policy:
        """What is run."""
        return Policy(self.curve, self.threshold, self.tier)


class Header(BaseModel):
    """The first line. `columns` name a row's numbers: latencies, then each statistic of a metric as `metric.place`; or a probe's.

    data: names of the data sets; development: of those that thresholds were chosen on
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    model: str
    model_hash: str | None
    task: str
    data: tuple[str, ...]
    data_hash: str
    items: int
    columns: tuple[str, ...]
    development: tuple[str, ...] = ()
    points: tuple[Point, ...] = ()
    version: int = 1


class Line(BaseModel):
    """One item: a row a point, in the header's order, or a row a probe. A row is empty where the policy does not suit the item."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    cluster: str
    rows: tuple[tuple[int | float | None, ...], ...]


@dataclass(frozen=True)
class Result:
    """A run, read."""

    header: Header
    lines: tuple[Line, ...]

    @property
    def complete(self) -> bool:
        """False while items are missing."""
        return len(self.lines) == self.header.items


class Growing:
    """A run's file while it grows: append-only, and what a crash cut off is dropped. `done`: ids that are there."""

    def __init__(self, path: Path, header: Header) -> None:
        """Begins the file, or goes on with it. Raises InvalidValueError if it holds another run."""
        path.parent.mkdir(parents=True, exist_ok=True)
        known = _parse(path, path.read_bytes()) if path.exists() else None
        if known is not None and known.header != header:
            raise InvalidValueError(f"expected {path} to hold the run {header.name} that goes on; remove it to begin again", param="work")
        self._path = path
        # Written anew: the last line may have been cut off.
        path.write_text(_text(header, known.lines if known else ()), encoding="utf-8")
        self.done = {line.id for line in known.lines} if known else set[str]()

    def __enter__(self) -> Self:
        self._file = self._path.open("a", encoding="utf-8")
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, line: Line) -> None:
        """On the disk at once, so that a run that is cut off goes on where it was."""
        self._file.write(line.model_dump_json() + "\n")
        self._file.flush()
        self.done.add(line.id)


def begun(path: Path) -> Header | None:
    """The header of a file that grows, None if there is none yet. Raises InvalidValueError."""
    return _parse(path, path.read_bytes()).header if path.exists() else None


def publish(path: Path, folder: Path = FOLDER) -> Path:
    """Compresses a file that is complete into the folder of results, items in the order of their ids: the same run gives the same bytes.

    Raises InvalidValueError for one that is not complete.
    """
    found = _parse(path, path.read_bytes())
    if not found.complete:
        raise InvalidValueError(f"expected {found.header.items} items in {path}; got {len(found.lines)}: let the run end")
    folder.mkdir(parents=True, exist_ok=True)
    text = _text(found.header, sorted(found.lines, key=lambda line: line.id))
    written = folder / (found.header.name + SUFFIX)
    written.write_bytes(gzip.compress(text.encode(), mtime=0))
    return written


def read_all(folder: Path = FOLDER) -> dict[str, Result]:
    """Every result, by its name. Raises InvalidValueError for a file that is none."""
    return {result.header.name: result for result in _read(folder)}


def _read(folder: Path) -> Iterator[Result]:
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        yield _parse(path, gzip.decompress(path.read_bytes()))


def _parse(path: Path, content: bytes) -> Result:
    header, *lines = content.decode("utf-8").split("\n")[:-1] or [""]  # what follows the last line break was cut off
    try:
        return Result(Header.model_validate_json(header), tuple(map(Line.model_validate_json, lines)))
    except ValidationError as error:
        raise InvalidValueError(f"expected {path} to hold results: {error.errors(include_url=False)[0]['msg']}") from None


def _text(header: Header, lines: Iterable[Line]) -> str:
    entries = [header.model_dump_json(exclude_defaults=True), *(line.model_dump_json() for line in lines)]
    return "".join(entry + "\n" for entry in entries)


def rounded(numbers: Iterable[float | None]) -> tuple[int | float | None, ...]:
    """Five decimals: less than any interval tells apart. Whole numbers have no point, which is shorter."""
    return tuple(None if number is None else int(number) if number == int(number) else round(number, 5) for number in numbers)
