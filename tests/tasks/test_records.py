"""A user's own JSONL, for any task."""

import json
from pathlib import Path

import pytest

from errors import InvalidValueError
from tasks import Example
from tasks.records import read


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_what_is_not_given_has_a_default(tmp_path: Path) -> None:
    full = {"source": "a b", "targets": ["x", "y"], "inputs": {"question": "?"}, "id": "7", "cluster": "doc", "oracle": 1}
    assert read(write(tmp_path / "mine.jsonl", {"source": "a", "target": "b"}, full)) == [
        Example(id="mine:1", source="a", references=("b",), cluster="mine:1"),
        Example(id="7", source="a b", references=("x", "y"), inputs={"question": "?"}, cluster="doc", oracle=1),
    ]


@pytest.mark.parametrize(
    ("row", "got"),
    [
        ({"source": "a"}, "expected either target or targets"),
        ({"target": "b"}, "expected either source or audio"),
        ({"source": "a", "audio": "a.wav", "target": "b"}, "expected either source or audio"),
        ({"source": "a", "said": "a", "target": "b"}, "expected said with audio alone"),
        ({"audio": "a.wav", "target": "b", "word_ends": [-1]}, "word_ends.0: Input should be greater than or equal to 0"),
        ({"source": "a", "target": "b", "targets": ["b"]}, "expected either target or targets"),
        ({"source": "a", "targets": []}, "targets: List should have at least 1 item"),
        ({"source": "", "target": "b"}, "source: String should have at least 1 character"),
        ({"source": "a", "target": "b", "input": {}}, "input: Extra inputs are not permitted"),
        ({"source": "a", "target": "b", "inputs": {"question": 3}}, "inputs.question: Input should be a valid string"),
    ],
)
def test_what_is_not_the_format_is_refused(tmp_path: Path, row: object, got: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"mine\.jsonl, line 1: expected an object with source.*{got}"):
        read(write(tmp_path / "mine.jsonl", row))


def test_a_recording_lies_beside_the_file_that_names_it(tmp_path: Path) -> None:
    row = {"audio": "sounds/a.flac", "target": "one two", "prompt": "Write:", "word_ends": [400, 900], "said": "1 2"}
    (found,) = read(write(tmp_path / "mine.jsonl", row))
    assert found.said == "1 2"
    assert (found.audio, found.source, found.prompt, found.word_ends) == (tmp_path / "sounds/a.flac", "", "Write:", (400, 900))
