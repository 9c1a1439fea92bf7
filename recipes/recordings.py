"""A folder of recordings with a JSONL that training and evaluation read: written row by row, and gone on with where it was left.

Knows samples, words and files; knows no voice and no text of its own.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile  # type: ignore[import-untyped]
import soxr  # type: ignore[import-untyped]
from numpy.typing import NDArray

from errors import InvalidValueError

RATE = 16_000  # Hz, what encoders take: nothing is left to resample when it is read again and again
Samples = NDArray[np.float32]


@dataclass(frozen=True)
class Recording:
    """What is said in [n] samples of RATE. word_ends: ms at which each word of the text ends, or nothing where nobody knows.

    inputs: of the task that it is for; said: what is said, where `text` is something else
    """

    id: str
    cluster: str
    text: str
    samples: Samples
    word_ends: tuple[int, ...] = ()
    inputs: Mapping[str, str] = field(default_factory=dict)
    said: str | None = None

    @property
    def seconds(self) -> float:
        """Its length."""
        return len(self.samples) / RATE


class Recordings:
    """The recordings `NAME/….flac` and the rows `NAME.jsonl` of a folder. `ids` are those that are there, `seconds` how long they are.

    A row is written after its recording: what a row names is whole. Raises InvalidValueError for a JSONL that is none of ours.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._rows, self._folder = folder / f"{name}.jsonl", folder / name
        self._folder.mkdir(parents=True, exist_ok=True)
        self.ids: set[str] = set()
        self.seconds = 0.0
        whole = self._rows.read_text(encoding="utf-8") if self._rows.exists() else ""
        kept = whole[: whole.rfind("\n") + 1]  # the rest of a row that was cut off
        if kept != whole:
            self._rows.write_text(kept, encoding="utf-8")
        for number, line in enumerate(kept.splitlines(), start=1):
            self._take(number, line)

    def _take(self, number: int, line: str) -> None:
        try:
            row = json.loads(line)
            found = soundfile.info(self._rows.parent / row["audio"])
            self.ids.add(row["id"])
        except (ValueError, KeyError, TypeError, OSError, soundfile.SoundFileError) as error:
            raise InvalidValueError(f"expected {self._rows}, line {number}, to name a recording of this recipe; got {error}") from None
        self.seconds += found.frames / found.samplerate

    def add(self, one: Recording) -> None:
        """16 bits, FLAC. Raises InvalidValueError for an id that is there already."""
        if one.id in self.ids:
            raise InvalidValueError(f"expected every id once; got {one.id!r} again")
        path = self._folder / f"{len(self.ids):06d}.flac"
        soundfile.write(path, one.samples, RATE, subtype="PCM_16")
        row: dict[str, object] = {"id": one.id, "cluster": one.cluster, "audio": f"{path.parent.name}/{path.name}", "target": one.text}
        row |= {"word_ends": one.word_ends} if one.word_ends else {}
        row |= {"inputs": dict(one.inputs)} if one.inputs else {}
        row |= {"said": one.said} if one.said else {}
        with self._rows.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
        self.ids.add(one.id)
        self.seconds += one.seconds


def at_rate(samples: Samples, rate: int) -> Samples:
    """[n] at `rate` Hz -> [m] at RATE, as float32."""
    made: Samples = samples if rate == RATE else soxr.resample(samples, rate, RATE)
    return made.astype(np.float32)


def put_together(pieces: Sequence[Samples], pauses: Sequence[float]) -> tuple[Samples, tuple[int, ...]]:
    """Pieces with silence between: `pauses` in seconds, one before each piece and one behind the last. Also the ms at which each ends."""
    parts: list[Samples] = []
    ends: list[int] = []
    length = 0
    for pause, piece in zip(pauses, [*pieces, None], strict=True):
        parts.append(np.zeros(int(pause * RATE), dtype=np.float32))
        length += len(parts[-1])
        if piece is not None:
            parts.append(piece)
            length += len(piece)
            ends.append(-(-1000 * length // RATE))
    return np.concatenate(parts), tuple(ends)
