"""A user's own data as JSONL, for any task: source or audio, target or targets, inputs. Knows no model, no sound and no metric."""

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from errors import InvalidValueError
from tasks.example import Example
from tasks.files import lines, name_of, reason


class Record(BaseModel):
    """One line. `oracle` counts the source's words after which the target is known.

    audio: a recording in place of `source`, its path relative to the file; prompt: in place of the task's own
    said: what is said in the recording, where the target is something else: CTC is trained on it
    word_ends: ms at which each word of the target ends in the recording
    """

    model_config = ConfigDict(extra="forbid")
    source: str | None = Field(default=None, min_length=1)
    audio: str | None = Field(default=None, min_length=1)
    said: str | None = Field(default=None, min_length=1)
    prompt: str | None = None
    target: str | None = None
    targets: list[str] | None = Field(default=None, min_length=1)
    inputs: dict[str, str] = Field(default_factory=dict)
    id: str | None = None
    cluster: str | None = None
    oracle: int | None = Field(default=None, ge=0)
    word_ends: tuple[Annotated[int, Field(ge=0)], ...] = ()

    @model_validator(mode="after")
    def _one_of_source_and_audio(self) -> "Record":
        if (self.source is None) == (self.audio is None):
            raise ValueError("expected either source or audio")
        if self.said is not None and self.audio is None:
            raise ValueError("expected said with audio alone")
        return self

    @model_validator(mode="after")
    def _one_of_target_and_targets(self) -> "Record":
        if (self.target is None) == (self.targets is None):
            raise ValueError("expected either target or targets")
        return self


def read(path: Path) -> list[Example]:
    """One Example a line; the id is `NAME:LINE` and the cluster the id where the line gives none.

    Raises InvalidValueError naming file, line and what was expected.
    """
    return [_example(path, number, line) for number, line in lines(path)]


def _example(path: Path, number: int, line: str) -> Example:
    try:
        record = Record.model_validate_json(line)
    except ValidationError as error:
        wanted = "an object with source or audio, target or targets, and perhaps prompt, said, inputs, id, cluster, oracle, word_ends"
        raise InvalidValueError(f"{path}, line {number}: expected {wanted}; got {reason(error)}") from error
    name = record.id if record.id is not None else f"{name_of(path)}:{number}"
    references = (record.target,) if record.target is not None else tuple(record.targets or ())
    return Example(
        id=name,
        source=record.source or "",
        references=references,
        inputs=record.inputs,
        cluster=record.cluster if record.cluster is not None else name,
        oracle=record.oracle,
        prompt=record.prompt,
        audio=path.parent / record.audio if record.audio is not None else None,
        said=record.said,
        word_ends=record.word_ends,
    )
