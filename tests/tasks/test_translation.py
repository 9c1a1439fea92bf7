"""Translation data: one Example a line, errors with file and line."""

import gzip
from pathlib import Path

import pytest

from errors import InvalidValueError
from tasks import Example
from tasks.translation import read, read_parallel

PAIRS = "I lost.\tIch habe verloren.\n\nFantastic!\tFantastisch!\nFantastic!\tGanz toll!\n"


@pytest.mark.parametrize("name", ["dev.tsv", "dev.tsv.gz"])
def test_every_line_is_an_item_and_a_repeated_source_a_cluster(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(PAIRS.encode()) if name.endswith("gz") else PAIRS.encode())
    assert read(tmp_path / name) == [
        Example(id="dev:1", source="I lost.", references=("Ich habe verloren.",), cluster="I lost."),
        Example(id="dev:3", source="Fantastic!", references=("Fantastisch!",), cluster="Fantastic!"),
        Example(id="dev:4", source="Fantastic!", references=("Ganz toll!",), cluster="Fantastic!"),
    ]


@pytest.mark.parametrize(
    ("line", "got"),
    [
        ("no tab", "expected source<TAB>target; got 1 field$"),
        ("a\tb\tc", "expected source<TAB>target; got 3 fields"),
        ("a\t ", "expected text on both sides; got an empty target"),
        ("\tb", "expected text on both sides; got an empty source"),
    ],
)
def test_a_line_that_is_no_pair_is_named(tmp_path: Path, line: str, got: str) -> None:
    (tmp_path / "dev.tsv").write_text(f"a\tb\n{line}\n", encoding="utf-8")
    with pytest.raises(InvalidValueError, match=rf"dev\.tsv, line 2: {got}"):
        read(tmp_path / "dev.tsv")


def test_two_parallel_files(tmp_path: Path) -> None:
    (tmp_path / "val.en.gz").write_bytes(gzip.compress(b"A dog.\nA cat.\n"))
    (tmp_path / "val.de.gz").write_bytes(gzip.compress(b"Ein Hund.\nEine Katze.\n"))
    found = read_parallel(tmp_path / "val.en.gz", tmp_path / "val.de.gz")
    assert [(item.id, item.source, item.references) for item in found] == [
        ("val:1", "A dog.", ("Ein Hund.",)),
        ("val:2", "A cat.", ("Eine Katze.",)),
    ]


@pytest.mark.parametrize("target", ["Ein Hund.\n", "Ein Hund.\n\nEine Katze.\n", "Ein Hund.\nEine Katze.\nEine Maus.\n"])
def test_parallel_files_that_do_not_match_are_refused(tmp_path: Path, target: str) -> None:
    (tmp_path / "a").write_text("A dog.\nA cat.\n")
    (tmp_path / "b").write_text(target)
    with pytest.raises(InvalidValueError, match=r"line [23]: expected text in both files; got it in one"):
        read_parallel(tmp_path / "a", tmp_path / "b")
