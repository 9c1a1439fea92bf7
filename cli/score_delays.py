"""`proactivellm score-delays`: latency metrics of delays that any tool wrote down, one JSON object a line. Knows no model and no text."""

import json
from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from errors import InvalidValueError, first_fault
from evaluation.latency import LATENCY, Delays

Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Line(BaseModel):
    """One item, as `Delays` documents it: `delays` and `source_length` in one unit, the other two counted as the target."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    delays: tuple[Amount, ...]
    source_length: Amount
    reference_length: Count | None = None
    hypothesis_length: Count | None = None


def score_delays(lines: Iterable[str]) -> Iterator[str]:
    """One JSON object a line with RCO, AIL, AL, LAAL and DAL; null where a metric is not defined. Blank lines are passed over.

    Raises InvalidValueError with the number of the line, from 1, and the field.
    """
    for number, line in enumerate(lines, start=1):
        if line.strip():
            delays = _read(number, line)
            yield json.dumps({name: metric(delays) for name, metric in LATENCY.items()})


def _read(number: int, line: str) -> Delays:
    try:
        read = Line.model_validate_json(line)
    except ValidationError as error:
        field, told = first_fault(error, "the line")
        raise InvalidValueError(f"line {number}, {field}: {told}", param=field) from None
    return Delays(read.delays, read.source_length, read.reference_length, read.hypothesis_length)
