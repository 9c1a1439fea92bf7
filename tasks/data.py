"""The one entry point for data: a reference and a task's name give Examples, their metrics and their hash.

A new format is one file with `read`, and one line in READERS. Knows no model and computes no metric.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path

from errors import InvalidValueError, UnknownNameError
from tasks import csv_records, dialogue_summary, extractive_qa, multiple_choice, needle_qa, records, translation
from tasks.example import Example
from tasks.files import lines

READERS: dict[str, Callable[[Path], list[Example]]] = {
    "translation": translation.read,
    "extractive_qa": extractive_qa.read,
    "multiple_choice": multiple_choice.read,
    "dialogue_summary": dialogue_summary.read,
    "jsonl": records.read,
    "csv": csv_records.read,
}
SUFFIXES = {
    ".tsv": "translation",
    ".tsv.gz": "translation",
    ".json": "extractive_qa",
    ".json.gz": "extractive_qa",
    ".txt": "multiple_choice",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".csv": "csv",
    ".csv.gz": "csv",
}
UNDERSTOOD = (
    f"a file that ends in {', '.join(SUFFIXES)}, two parallel files as SOURCE,TARGET, "
    f"or needle:SPLIT:COUNT[:SEED] with SPLIT one of {', '.join(needle_qa.SPLITS)}"
)
NEEDLE = re.compile(r"needle:(\w+):([0-9]{1,9})(?::([0-9]{1,9}))?")
# Kinds of a user's own data, which do not say what they are for.
OWN = ("jsonl", "csv")
# Kinds that suit the default tasks; a checkpoint's own tasks take any.
SUITABLE = {
    "translate": ("translation", *OWN),
    "answer": ("extractive_qa", "needle_qa", *OWN),
    "choose": ("multiple_choice", *OWN),
    "summarise": ("dialogue_summary", *OWN),
    "repeat": OWN,
}
# By kind of data, then by default task for data whose kind does not say. The first is the main one.
METRICS: dict[str, tuple[str, ...]] = {
    "translation": ("bleu", "chrf"),
    "extractive_qa": ("f1", "exact_match"),
    "needle_qa": ("exact_match", "f1"),
    "multiple_choice": ("accuracy",),
    "dialogue_summary": ("rougeL", "rouge1", "rouge2"),
    "translate": ("bleu", "chrf"),
    "answer": ("f1", "exact_match"),
    "choose": ("accuracy",),
    "summarise": ("rougeL", "rouge1", "rouge2"),
    "repeat": ("exact_match", "f1"),
    "transcribe": ("wer_words", "wer"),
    "jsonl": ("f1", "exact_match"),
    "csv": ("f1", "exact_match"),
}


def kind_of(reference: str) -> str:
    """The kind of data that a reference stands for, by its form; a .jsonl is DialogSum's if its first line has `dialogue`.

    Raises InvalidValueError, with the list of what is understood.
    """
    if reference.startswith("needle:"):
        return "needle_qa"
    if _parallel(reference):
        return "translation"
    name = Path(reference).name
    kind = next((kind for suffix, kind in SUFFIXES.items() if name.endswith(suffix)), None)
    if kind is None:
        raise InvalidValueError(f"expected data as {UNDERSTOOD}; got {reference!r}", param="data")
    if kind == "jsonl" and "dialogue" in _fields_of_first_line(Path(reference)):
        return "dialogue_summary"
    return kind


def read_data(reference: str, task: str) -> list[Example]:
    """The items of a data set: a file, two parallel files `SOURCE,TARGET`, or `needle:SPLIT:COUNT[:SEED]` (seed 0).

    Raises InvalidValueError for a form or content that is not understood, for data that do not suit a default task, for no items,
    and for an id that stands for two.
    """
    kind = kind_of(reference)
    suitable = SUITABLE.get(task, (kind,))
    if kind not in suitable:
        raise InvalidValueError(
            f"expected data for task {task!r} to be one of: {', '.join(suitable)}; got {kind} ({reference})", param="data"
        )
    found = _read(reference, kind)
    if not found:
        raise InvalidValueError(f"expected data with at least one item; got none in {reference}", param="data")
    name, count = Counter(example.id for example in found).most_common(1)[0]
    if count > 1:
        raise InvalidValueError(f"expected every id once; got {name!r} {count} times in {reference}", param="data")
    return found


def metrics_of(task: str, kind: str | None = None) -> tuple[str, ...]:
    """Names of the quality metrics, the main one first: those of the data's kind, else those of the task.

    `task` may also be a kind. Raises UnknownNameError if neither is known.
    """
    for name in (task, kind) if kind in OWN else (kind, task):
        if name is not None and name in METRICS:
            return METRICS[name]
    raise UnknownNameError("task", task, METRICS)


def data_hash(examples: Iterable[Example]) -> str:
    """sha256, hex, over ids, sources, inputs and references, in their order; of recordings, prompt, sound and what is said too."""
    digest = hashlib.sha256()
    for example in examples:
        row: list[object] = [example.id, example.source, dict(example.inputs), list(example.references)]
        if example.prompt is not None:
            row.append(example.prompt)
        if example.said is not None:
            row.append(["said", example.said])
        if example.audio is not None:
            row.append(_file_hash(example.audio))
        digest.update(json.dumps(row, sort_keys=True, separators=(",", ":")).encode() + b"\n")
    return digest.hexdigest()


def _file_hash(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InvalidValueError(f"expected a recording that can be read; got {path}: {error.strerror}", param="data") from None


def _read(reference: str, kind: str) -> list[Example]:
    if kind == "needle_qa":
        return _needle(reference)
    if paths := _parallel(reference):
        return translation.read_parallel(*paths)
    return READERS[kind](Path(reference))


def _needle(reference: str) -> list[Example]:
    found = NEEDLE.fullmatch(reference)
    if found is None:
        raise InvalidValueError(f"expected needle:SPLIT:COUNT[:SEED], COUNT and SEED whole numbers; got {reference!r}", param="data")
    return needle_qa.generate(found[1], int(found[2]), int(found[3] or 0))


def _parallel(reference: str) -> tuple[Path, Path] | None:
    """Both paths, unless the comma is part of one file's name."""
    sides = reference.split(",")
    if len(sides) != 2 or not all(sides) or Path(reference).exists():
        return None
    return Path(sides[0]), Path(sides[1])


def _fields_of_first_line(path: Path) -> dict[str, object]:
    for number, line in lines(path):
        try:
            found = json.loads(line)
        except ValueError as error:
            raise InvalidValueError(f"{path}, line {number}: expected a JSON object; got {line[:40]!r}") from error
        return found if isinstance(found, dict) else {}
    return {}
