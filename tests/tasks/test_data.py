"""The one entry point: what a reference stands for, its metrics, its hash."""

import gzip
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from errors import InvalidValueError, UnknownNameError
from tasks import DEFAULT_TASKS, Example, data_hash, kind_of, metrics_of, read_data
from tasks.data import METRICS, READERS, SUFFIXES, SUITABLE
from tasks.needle_qa import generate

DIALOGUE = json.dumps({"fname": "dev_0", "dialogue": "#Person1#: Hi.", "summary": "A greeting."})
SQUAD = json.dumps(
    {"data": [{"title": "t", "paragraphs": [{"context": "a b", "qas": [{"id": "q", "question": "?", "answers": [{"text": "b"}]}]}]}]}
)
STORY = "*" * 51 + "\nStory: s\n\nA tale.\n\n1: one: Who?\n*A) a\n B) b\n C) c\n D) d\n"
FILES = {
    "translation": ("dev.tsv", "a\tb\n", "translate"),
    "extractive_qa": ("dev.json", SQUAD, "answer"),
    "multiple_choice": ("mc.txt", STORY, "choose"),
    "dialogue_summary": ("dev.jsonl", DIALOGUE, "summarise"),
    "jsonl": ("mine.jsonl", '{"source": "a", "target": "b"}', "repeat"),
    "csv": ("mine.csv", "source,target\na,b\n", "repeat"),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_file_is_read_by_its_form(tmp_path: Path, kind: str) -> None:
    name, content, task = FILES[kind]
    (tmp_path / name).write_text(content)
    reference = str(tmp_path / name)
    assert kind_of(reference) == kind
    (item,) = read_data(reference, task)
    DEFAULT_TASKS[task].render(item.inputs)  # the inputs are those that the task declares
    assert read_data(reference, "a checkpoint's own") == [item]


def test_gzip_is_the_same_data(tmp_path: Path) -> None:
    for kind in ("translation", "extractive_qa", "dialogue_summary", "jsonl", "csv"):
        name, content, task = FILES[kind]
        (tmp_path / name).write_text(content)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
        assert read_data(str(tmp_path / name), task) == read_data(str(tmp_path / f"{name}.gz"), task)


def test_two_parallel_files_are_translation_unless_one_file_has_a_comma(tmp_path: Path) -> None:
    for name, content in (("a.en", "one\n"), ("a.de", "eins\n"), ("b,c.tsv", "two\tzwei\n")):
        (tmp_path / name).write_text(content)
    assert read_data(f"{tmp_path}/a.en,{tmp_path}/a.de", "translate")[0].references == ("eins",)
    assert read_data(f"{tmp_path}/b,c.tsv", "translate")[0].references == ("zwei",)


def test_the_generator_is_a_reference(tmp_path: Path) -> None:
    assert kind_of("needle:dev:3") == "needle_qa"
    assert read_data("needle:dev:3", "answer") == generate("dev", 3, 0)
    assert read_data("needle:train:2:41", "answer") == generate("train", 2, 41)


@pytest.mark.parametrize("reference", ["needle:dev", "needle:dev:x", "needle:dev:3:-1", "needle:dev:3:1:2", "needle:dev:²"])
def test_a_generator_that_is_not_understood_is_refused(reference: str) -> None:
    with pytest.raises(InvalidValueError, match=r"expected needle:SPLIT:COUNT\[:SEED\]"):
        read_data(reference, "answer")


def test_a_form_that_is_not_understood_is_answered_with_the_list() -> None:
    with pytest.raises(InvalidValueError) as refused:
        read_data("data.parquet", "translate")
    assert all(form in refused.value.message for form in [*SUFFIXES, "needle:SPLIT:COUNT", "SOURCE,TARGET", "train, dev, test"])
    assert refused.value.param == "data"


def test_data_that_do_not_suit_a_default_task_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="for task 'translate' to be one of: translation, jsonl, csv; got needle_qa"):
        read_data("needle:dev:3", "translate")
    assert set(SUITABLE) == set(DEFAULT_TASKS)


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ("\n \n", "expected data with at least one item; got none"),
        ('{"source": "a", "target": "b", "id": "x"}\n' * 2, "expected every id once; got 'x' 2 times"),
        ("not json", "mine.jsonl, line 1: expected a JSON object; got 'not json'"),
        ("[]", "mine.jsonl, line 1: expected an object with source"),
    ],
)
def test_data_that_cannot_be_used_are_refused(tmp_path: Path, content: str, got: str) -> None:
    (tmp_path / "mine.jsonl").write_text(content)
    with pytest.raises(InvalidValueError, match=got):
        read_data(str(tmp_path / "mine.jsonl"), "repeat")


def test_metrics_are_those_of_the_data_else_those_of_the_task() -> None:
    assert metrics_of("answer", "needle_qa") == metrics_of("needle_qa") == ("exact_match", "f1")
    assert metrics_of("answer", "extractive_qa") == ("f1", "exact_match")
    assert metrics_of("translate", "jsonl") == ("bleu", "chrf")
    assert metrics_of("own", "jsonl") == metrics_of("own", "csv") == ("f1", "exact_match")
    assert metrics_of("own", "dialogue_summary")[0] == "rougeL"
    assert set(METRICS) == {*READERS, "needle_qa", *DEFAULT_TASKS, "transcribe"}
    with pytest.raises(UnknownNameError, match="multiple_choice"):
        metrics_of("own")


ITEM = Example(id="1", source="Grüße", references=("a", "b"), inputs={"question": "?", "also": "x"})


def test_the_hash_is_of_a_written_form() -> None:
    written = '["1","Gr\\u00fc\\u00dfe",{"also":"x","question":"?"},["a","b"]]\n'
    assert data_hash([ITEM]) == hashlib.sha256(written.encode()).hexdigest()
    assert data_hash([replace(ITEM, inputs={"also": "x", "question": "?"}, cluster="other", oracle=1)]) == data_hash([ITEM])


@pytest.mark.parametrize(
    "other",
    [replace(ITEM, id="2"), replace(ITEM, source="Gruß"), replace(ITEM, references=("b", "a")), replace(ITEM, inputs={"question": "?"})],
)
def test_the_hash_notices_every_part_and_the_order(other: Example) -> None:
    assert len({data_hash(items) for items in ([ITEM], [other], [ITEM, other], [other, ITEM])}) == 4


def test_the_hash_is_of_what_is_heard_and_not_of_where_it_lies(tmp_path: Path) -> None:
    for name, sound in {"a": b"one", "b": b"one", "c": b"two"}.items():
        (tmp_path / name).write_bytes(sound)
    first, moved, other = (data_hash([replace(ITEM, audio=tmp_path / name)]) for name in "abc")
    assert first == moved
    kinds = {first, other, *(data_hash([one]) for one in (ITEM, replace(ITEM, prompt="Say:"), replace(ITEM, said="Say:")))}
    assert len(kinds) == 5
    with pytest.raises(InvalidValueError, match=r"expected a recording that can be read; got .*none: No such file"):
        data_hash([replace(ITEM, audio=tmp_path / "none")])
