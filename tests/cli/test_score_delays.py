"""`score_delays`: a line in, a line out, and what a bad line is told."""

import json

import pytest

from cli.score_delays import score_delays
from errors import InvalidValueError

GOOD = '{"delays": [2, 3, 4, 4], "source_length": 4, "reference_length": 2, "hypothesis_length": 4}'


def scored(*lines: str) -> list[dict[str, float | None]]:
    return [json.loads(line) for line in score_delays(lines)]


def test_one_object_a_line() -> None:
    first, second, third = scored(GOOD + "\n", '{"delays": [], "source_length": 7}\n', "\n", '{"delays": [1500.5], "source_length": 3000}')
    assert first == pytest.approx({"RCO": 0.8125, "AIL": 1.75, "AL": 1.0, "LAAL": 2.0, "DAL": 2.0})
    assert second == {"RCO": None, "AIL": None, "AL": None, "LAAL": None, "DAL": None}
    assert third["AL"] == 1500.5


def test_lines_are_scored_as_they_come() -> None:
    lines = score_delays(iter([GOOD, "not JSON"]))
    assert json.loads(next(lines))["LAAL"] == 2
    with pytest.raises(InvalidValueError, match=r"line 2, the line: Invalid JSON"):
        next(lines)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ('{"source_length": 4}', "delays"),
        ('{"delays": [1]}', "source_length"),
        ('{"delays": [1, "2"], "source_length": 4}', "delays.1"),
        ('{"delays": [1, -2], "source_length": 4}', "delays.1"),
        ('{"delays": [NaN], "source_length": 4}', "delays.0"),
        ('{"delays": [1], "source_length": true}', "source_length"),
        ('{"delays": [1], "source_length": 1e999}', "source_length"),
        ('{"delays": [1], "source_length": 4, "reference_length": 2.5}', "reference_length"),
        ('{"delays": [1], "source_length": 4, "hypothesis_length": -1}', "hypothesis_length"),
        ('{"delays": [1], "source_length": 4, "reference_lenght": 2}', "reference_lenght"),
        ("[1, 2]", "the line"),
    ],
)
def test_a_bad_line_is_told_its_number_and_field(line: str, field: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"^line 3, {field}: ") as caught:
        scored(GOOD, "", line)
    assert caught.value.param == field
