"""Spoken passages: the question goes with them, and what is there is not read again."""

from pathlib import Path

from recipes import spoken_needle
from tasks import needle_qa, read_data
from tests.recipes.made import Tone


def test_a_passage_keeps_its_question_and_answer(tmp_path: Path) -> None:
    voice = Tone("ann")
    spoken_needle.make(tmp_path, "dev", [voice], count=3, seed=1)
    text, spoken = needle_qa.generate("dev", 3, 1), read_data(str(tmp_path / "dev.jsonl"), "answer")
    assert [(one.id, one.inputs, one.references[:1]) for one in spoken] == [(one.id, one.inputs, one.references[:1]) for one in text]
    assert voice.lines == [" ".join(one.source.split()) for one in text]
    again = Tone("ann")
    spoken_needle.make(tmp_path, "dev", [again], count=4, seed=1)
    assert len(again.lines) == 1
