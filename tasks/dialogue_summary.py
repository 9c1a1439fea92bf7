"""Dialogue summarisation data in DialogSum's JSONL. Knows no model and no metric."""

from pathlib import Path

from pydantic import BaseModel, Field, ValidationError

from errors import InvalidValueError
from tasks.example import Example
from tasks.files import lines, reason


class Dialogue(BaseModel):
    """One line: `summary`, or the test file's three; topics are not used."""

    fname: str = Field(min_length=1)
    dialogue: str = Field(min_length=1)
    summary: str | None = None
    summary1: str | None = None
    summary2: str | None = None
    summary3: str | None = None


def read(path: Path) -> list[Example]:
    """One Example a dialogue, named by its `fname`. Raises InvalidValueError naming file, line and what was expected."""
    return [_example(path, number, line) for number, line in lines(path)]


def _example(path: Path, number: int, line: str) -> Example:
    try:
        found = Dialogue.model_validate_json(line)
    except ValidationError as error:
        raise InvalidValueError(f"{path}, line {number}: expected a dialogue as DialogSum's; got {reason(error)}") from error
    summaries = [found.summary, found.summary1, found.summary2, found.summary3]
    references = tuple(summary.strip() for summary in summaries if summary is not None and summary.strip())
    if not references:
        raise InvalidValueError(f"{path}, line {number}: expected `summary` or `summary1` to `summary3`; got none")
    return Example(id=found.fname, source=found.dialogue, references=references, cluster=found.fname)
