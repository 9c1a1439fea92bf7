"""Spoken passages: the question goes with them, and what is there is not read again."""

from itertools import islice
from pathlib import Path

import pytest

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


def test_what_is_said_stands_beside_the_answer(tmp_path: Path) -> None:
    """Of short passages alone, if that is asked for."""
    voice = Tone("ann")
    spoken_needle.make(tmp_path, "train", [voice], count=20, seed=0, max_words=40)
    assert [one.said for one in read_data(str(tmp_path / "train.jsonl"), "spoken_answer")] == voice.lines
    assert len(voice.lines) == 20
    assert max(len(line.split()) for line in voice.lines) <= 40


@pytest.mark.parametrize("most", [25, 200])
def test_passages_are_those_of_the_generator(most: int) -> None:
    every = needle_qa.generate("test", 300)
    wanted = [one.id for one in every if len(one.source.split()) <= most]
    assert [one.id for one in islice(spoken_needle.passages("test", 0, most), len(wanted))] == wanted
