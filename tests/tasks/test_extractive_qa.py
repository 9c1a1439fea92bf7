"""SQuAD's JSON: references, clusters, and the word after which the answer is known."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValueError
from tasks.extractive_qa import Answer, Question, _example, read

CONTEXT = "The plague came from Central Asia, on merchant ships.  It spread fast."


def squad(answers: list[dict[str, Any]], context: str = CONTEXT) -> dict[str, Any]:
    question = {"id": "q1", "question": " How did it come? ", "answers": answers}
    return {"version": "1.1", "data": [{"title": "Black_Death", "paragraphs": [{"context": context, "qas": [question]}]}]}


def answer(text: str) -> dict[str, Any]:
    return {"text": text, "answer_start": CONTEXT.index(text)}


def write(path: Path, content: object) -> Path:
    path.write_bytes(gzip.compress(json.dumps(content).encode()) if path.suffix == ".gz" else json.dumps(content).encode())
    return path


@pytest.mark.parametrize("name", ["dev.json", "dev.json.gz"])
def test_a_question_becomes_an_item(tmp_path: Path, name: str) -> None:
    answers = [answer("merchant ships."), answer("merchant ships"), answer("on merchant"), answer("merchant ships")]
    (item,) = read(write(tmp_path / name, squad(answers)))
    assert (item.id, item.cluster, item.source) == ("q1", "Black_Death:0", CONTEXT)
    assert item.inputs == {"question": "How did it come?"}
    assert item.references == ("merchant ships.", "merchant ships", "on merchant")
    assert item.oracle == 8  # The plague came from Central Asia, on merchant


def test_the_word_in_which_an_answer_ends_counts(tmp_path: Path) -> None:
    (item,) = read(write(tmp_path / "a.json", squad([answer("plag")])))
    assert item.oracle == 2


def test_an_answer_without_a_place_has_no_oracle(tmp_path: Path) -> None:
    (item,) = read(write(tmp_path / "a.json", squad([{"text": "by ship"}])))
    assert (item.references, item.oracle) == (("by ship",), None)


@given(st.text(min_size=1), st.data())
def test_the_first_oracle_words_hold_the_answer(context: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(context) - 1))
    span = context[start : data.draw(st.integers(start + 1, len(context)))]
    if not span.strip():
        return
    question = Question(id="q", question="?", answers=[Answer(text=span, answer_start=start)])
    item = _example(Path("a.json"), context, question, "c")
    assert item.oracle is not None
    words = context.split()
    assert 1 <= item.oracle <= len(words)
    assert len(" ".join(words[: item.oracle])) >= len(" ".join(context[: start + len(span)].split()))
    assert len(" ".join(words[: item.oracle - 1])) < len(" ".join(context[: start + len(span)].split()))


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ({"data": [{"title": "t"}]}, r"expected SQuAD v1\.1 JSON; got data\.0\.paragraphs: Field required"),
        ([], r"expected SQuAD v1\.1 JSON"),
        (squad([]), "question q1: expected an answer; got none"),
        (squad([{"text": "ships", "answer_start": 3}]), "question q1: expected 'ships' at character 3 of its passage; got ' plag'"),
    ],
)
def test_what_is_not_squad_is_refused(tmp_path: Path, content: object, got: str) -> None:
    with pytest.raises(InvalidValueError, match=rf"a\.json.*{got}"):
        read(write(tmp_path / "a.json", content))
