"""Sequences of digits: the split holds, the words are those that are heard, and the same command makes the same files."""

import json
import tarfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from errors import InvalidValueError, UnknownNameError
from recipes import digits
from tests.recipes import made


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> digits.Digits:
    return digits.read(made.digits(tmp_path_factory.mktemp("fsdd")))


def rows(out: Path, split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()]


def test_everything_in_the_archive_is_read(known: digits.Digits) -> None:
    assert set(known) == {"ann", "bob", "cy"}
    assert all(len(known["bob"][digit]) == 7 for digit in range(10))
    assert len(known["cy"][3][2]) == pytest.approx(0.12 * 16_000, abs=2)


def test_the_test_speaker_is_heard_nowhere_else(known: digits.Digits, tmp_path: Path) -> None:
    digits.make(known, tmp_path, "bob", count=3, test_count=4)
    assert {row["cluster"] for row in rows(tmp_path, "train")} == {"ann", "cy"}
    assert {row["cluster"] for row in rows(tmp_path, "dev")} == {"ann", "cy"}
    assert {row["cluster"] for row in rows(tmp_path, "test")} == {"bob"}
    assert [len(rows(tmp_path, split)) for split in ("train", "dev", "test")] == [6, 2, 4]


def test_voices_are_trained_on_and_nothing_else(known: digits.Digits, tmp_path: Path) -> None:
    voice = made.Tone("joe")
    read = digits.aloud([voice], 5)
    assert voice.lines[:2] == ["zero.", "one."]
    assert voice.lines[10] == "zero?"
    digits.make(known, tmp_path, "bob", count=3, test_count=4, voices=read)
    assert {row["cluster"] for row in rows(tmp_path, "train")} == {"ann", "cy", "joe"}
    assert {row["cluster"] for row in rows(tmp_path, "dev")} == {"ann", "cy"}
    assert {row["cluster"] for row in rows(tmp_path, "test")} == {"bob"}
    digits.make(known, tmp_path / "alone", "bob", count=3, test_count=4, voices=read, speakers=False)
    assert {row["cluster"] for row in rows(tmp_path / "alone", "train")} == {"joe"}
    assert {row["cluster"] for row in rows(tmp_path / "alone", "dev")} == {"ann", "cy"}


def test_digits_are_repeated_for_training_as_often_as_was_asked_for(known: digits.Digits, tmp_path: Path) -> None:
    digits.make(known, tmp_path / "often", "bob", count=60, test_count=20, repeats=0.5)
    digits.make(known, tmp_path / "plain", "bob", count=1, test_count=20)
    pairs = [pair for row in rows(tmp_path / "often", "train") for pair in pairwise(row["target"].split())]
    assert sum(first == second for first, second in pairs) / len(pairs) == pytest.approx(0.55, abs=0.06)
    for split in ("dev", "test"):
        assert rows(tmp_path / "often", split) == rows(tmp_path / "plain", split)


def test_quiet_is_cut_off_around_a_word() -> None:
    word = np.concatenate([np.zeros(8000), made.sound(3, 0.2), np.full(4000, 0.001)]).astype(np.float32)
    assert len(digits.trimmed(word)) == pytest.approx(0.26 * 16_000, abs=20)
    assert len(digits.trimmed(np.zeros(100, np.float32))) == 100


def test_words_are_where_their_tones_are(known: digits.Digits, tmp_path: Path) -> None:
    digits.make(known, tmp_path, "bob", count=2, test_count=1)
    for row in rows(tmp_path, "train"):
        samples, rate = soundfile.read(tmp_path / row["audio"])
        words = row["target"].split()
        assert 3 <= len(words) == len(row["word_ends"]) <= 8
        assert len(samples) / rate * 1000 > row["word_ends"][-1] + 99
        for word, end in zip(words, row["word_ends"], strict=True):
            piece = samples[int((end - 90) * 16) : int((end - 10) * 16)]
            pitch = np.fft.rfftfreq(len(piece), 1 / rate)[np.abs(np.fft.rfft(piece)).argmax()]
            assert digits.WORDS[round((pitch - 300) / 100)] == word


def test_recordings_of_development_are_not_trained_on(known: digits.Digits) -> None:
    marked = {digit: {take: np.full(100, take, dtype=np.float32) for take in takes} for digit, takes in known["ann"].items()}
    heard = {split: set[float]() for split in ("train", "dev")}
    for split, numbers in (("train", range(digits.KEPT, 100)), ("dev", range(digits.KEPT))):
        for number in range(20):
            heard[split] |= set(digits.sequence(marked, "ann", split, number, numbers).samples.tolist()) - {0.0}
    assert heard == {"train": {5.0, 6.0}, "dev": {1.0, 2.0, 3.0, 4.0}}


def test_a_second_run_adds_what_is_missing_and_changes_nothing(known: digits.Digits, tmp_path: Path) -> None:
    digits.make(known, tmp_path / "a", "bob", count=2, test_count=1)
    digits.make(known, tmp_path / "b", "bob", count=1, test_count=1)
    digits.make(known, tmp_path / "b", "bob", count=2, test_count=1)
    assert rows(tmp_path / "a", "train") == rows(tmp_path / "b", "train")
    assert all(
        (tmp_path / "a" / row["audio"]).read_bytes() == (tmp_path / "b" / row["audio"]).read_bytes()
        for row in rows(tmp_path / "a", "train")
    )


def test_what_is_not_the_data_set_is_refused(known: digits.Digits, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"expected recordings\.tar of the Free Spoken Digit Dataset"):
        digits.read(tmp_path)
    with tarfile.open(tmp_path / "recordings.tar", "w"):
        pass
    with pytest.raises(InvalidValueError, match=r"DIGIT_SPEAKER_NUMBER\.wav .*; got none"):
        digits.read(tmp_path)
    with pytest.raises(UnknownNameError, match="expected speaker to be one of: ann, bob, cy; got 'dee'"):
        digits.make(known, tmp_path, "dee", count=1, test_count=1)


@pytest.mark.parametrize("asked", [{"espeak": ["en-us"]}, {"piper": Path("joe.onnx")}, {"speakers": False}])
def test_voices_that_read_nothing_are_refused(tmp_path: Path, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidValueError, match="expected takes with voices that read digits"):
        digits.main(tmp_path, tmp_path / "out", **asked)
