"""A user's own data as JSONL, for any task: source, target or targets, inputs. Knows no model and no metric."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from errors import InvalidValueError
from tasks.example import Example
from tasks.files import lines, name_of, reason


class Record(BaseModel):
    """One line. `oracle` counts the source's words after which the target is known."""

    model_config = ConfigDict(extra="forbid")
    source: str = Field(min_length=1)
    target: str | None = None
    targets: list[str] | None = Field(default=None, min_length=1)
    inputs: dict[str, str] = Field(default_factory=dict)
    id: str | None = None
    cluster: str | None = None
    oracle: int | None = Field(default=None, ge=0)

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
        wanted = "an object with source, target or targets, and perhaps inputs, id, cluster, oracle"
        raise InvalidValueError(f"{path}, line {number}: expected {wanted}; got {reason(error)}") from error
    name = record.id if record.id is not None else f"{name_of(path)}:{number}"
    references = (record.target,) if record.target is not None else tuple(record.targets or ())
    return Example(
        id=name,
        source=record.source,
        references=references,
        inputs=record.inputs,
        cluster=record.cluster if record.cluster is not None else name,
        oracle=record.oracle,
    )
