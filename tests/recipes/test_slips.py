"""Slips: letters only, as many words, some sentences as they are."""

import gzip
import json
from pathlib import Path

import numpy as np

from recipes import slips

TEXT = "The quick brown fox jumps over the lazy dog."


def test_words_stay_as_many_and_most_letters_as_they_are() -> None:
    rng = np.random.default_rng(0)
    made = [slips.misheard(TEXT, rng) for _ in range(200)]
    clean = sum(text == TEXT for text in made)
    assert 0.3 * 200 < clean < 0.55 * 200
    assert all(len(text.split()) == len(TEXT.split()) for text in made)
    assert all(0.6 * len(TEXT) < len(text) < 1.4 * len(TEXT) for text in made)


def test_rows_are_pairs_of_both(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        with gzip.open(tmp_path / f"{split}.tsv.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(f"{split} sentence {number} is here.\tSatz {number}." for number in range(30)))
    slips.main(tmp_path, tmp_path / "out")
    rows = [json.loads(line) for line in (tmp_path / "out" / "train.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len({row["id"] for row in rows}) == len({row["target"] for row in rows}) == 30
    assert all(row["target"].startswith("train sentence") for row in rows)
    assert 5 < sum(row["source"] != row["target"] for row in rows) < 28
    assert (tmp_path / "out" / "dev.jsonl").exists()
