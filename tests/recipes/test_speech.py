"""Sentences read aloud: bounded by hours, gone on with, each sentence once, and the test voice apart."""

import gzip
import json
import shutil
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from recipes import speech, voices
from recipes.voices import Voice
from tests.recipes.made import Tone


@pytest.fixture
def data(tmp_path: Path) -> Path:
    lines = [f"Sentence number {number} is here.\tSatz {number}." for number in range(300)]
    lines += ["Sentence number 7 is here.\tNoch einmal.", "long " * 60 + ".\tlang"]
    with gzip.open(tmp_path / "train.tsv.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(lines))
    return tmp_path


def rows(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "train.jsonl").read_text(encoding="utf-8").splitlines()]


def test_every_sentence_is_read_once_and_none_that_is_too_long(data: Path) -> None:
    read = [line for _, said in speech.texts(data / "train.tsv.gz", 0) for line in said]
    assert len(read) == len(set(read)) == 300
    assert {len(said) for _, said in speech.texts(data / "train.tsv.gz", 0)} == {1, 2, 3}
    assert list(islice(speech.texts(data / "train.tsv.gz", 1), 3)) != list(islice(speech.texts(data / "train.tsv.gz", 0), 3))


def test_voices_take_turns_until_there_is_enough(data: Path) -> None:
    ann, bob = Tone("ann"), Tone("bob")
    hours = speech.make(data, data / "out", "train", [ann, bob], hours=0.05, seed=0)
    assert 0.05 <= hours < 0.06
    found = rows(data / "out")
    assert {row["cluster"].split(":")[0] for row in found[: speech.BATCH]} == {"ann"}
    assert {row["cluster"].split(":")[0] for row in found[speech.BATCH : 2 * speech.BATCH]} == {"bob"}
    spoken = " ".join(row["target"] for row in found)
    assert all(line in spoken for line in ann.lines[:20])


def test_sets_of_two_seeds_share_no_id(data: Path) -> None:
    for seed in (0, 3):
        speech.make(data, data / f"seed{seed}", "train", [Tone("a")], hours=0.02, seed=seed)
    first, other = (rows(data / f"seed{seed}") for seed in (0, 3))
    assert [first[0]["id"], other[0]["id"]] == ["speech:train:0", "speech:train:3.0"]
    assert not {row["id"] for row in first} & {row["id"] for row in other}


def test_espeaks_voices_read_for_training_alone(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for split in ("dev", "test"):
        shutil.copy(data / "train.tsv.gz", data / f"{split}.tsv.gz")
    monkeypatch.setattr(voices, "FLITE", ("slt", voices.TEST_VOICE))
    monkeypatch.setattr(voices, "Flite", lambda _: Tone("ann"))
    monkeypatch.setattr(voices, "Espeak", Tone)
    speech.main(data, data / "out", hours=1, espeak=["en-us", "en-gb"])
    read = {
        split: {json.loads(line)["cluster"].split(":")[0] for line in (data / "out" / f"{split}.jsonl").read_text().splitlines()}
        for split in ("train", "dev", "test")
    }
    assert read == {"train": {"ann", "en-us", "en-gb"}, "dev": {"ann"}, "test": {"ann"}}


def test_it_goes_on_where_it_was_left(data: Path) -> None:
    class Leaves(Tone):
        def read(self, lines: Any) -> Any:
            if self.lines:
                raise KeyboardInterrupt
            return super().read(lines)

    those: list[Voice] = [Leaves("a"), Tone("b")]
    with pytest.raises(KeyboardInterrupt):
        speech.make(data, data / "broken", "train", those, hours=1, seed=0)
    speech.make(data, data / "broken", "train", [Tone("a"), Tone("b")], hours=1, seed=0)
    speech.make(data, data / "whole", "train", [Tone("a"), Tone("b")], hours=1, seed=0)
    assert rows(data / "broken") == rows(data / "whole")
    assert sum(len(row["target"].split(". ")) for row in rows(data / "whole")) == 300
    more = Tone("a")
    speech.make(data, data / "whole", "train", [more], hours=1, seed=0)
    assert not more.lines
