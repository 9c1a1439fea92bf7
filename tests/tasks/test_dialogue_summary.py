"""DialogSum's JSONL: one summary in development data, three in test data."""

import json
from pathlib import Path

import pytest

from errors import InvalidValueError
from tasks import Example
from tasks.dialogue_summary import read

DEV = {"fname": "dev_0", "dialogue": "#Person1#: Hello.\n#Person2#: Hi.", "summary": "They greet. ", "topic": "greeting"}
TEST = {
    "fname": "test_0",
    "dialogue": "#Person1#: Bye.",
    "summary1": "One.",
    "topic1": "a",
    "summary2": "Two.",
    "topic2": "b",
    "summary3": "3.",
}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_one_or_three_references(tmp_path: Path) -> None:
    assert read(write(tmp_path / "dev.jsonl", DEV, TEST)) == [
        Example(id="dev_0", source="#Person1#: Hello.\n#Person2#: Hi.", references=("They greet.",), cluster="dev_0"),
        Example(id="test_0", source="#Person1#: Bye.", references=("One.", "Two.", "3."), cluster="test_0"),
    ]


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ({**DEV, "dialogue": ""}, "dialogue: String should have at least 1 character"),
        ({"dialogue": "x", "summary": "y"}, "fname: Field required"),
        ({**DEV, "summary": " "}, "expected `summary` or `summary1` to `summary3`; got none"),
        (3, "expected a dialogue as DialogSum's"),
    ],
)
def test_what_is_not_the_format_is_refused(tmp_path: Path, row: object, got: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"dev\.jsonl, line 2: .*{got}"):
        read(write(tmp_path / "dev.jsonl", DEV, row))
