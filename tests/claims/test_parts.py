"""The registry of parts: data that are read, and which are held back."""

from pathlib import Path

import pytest

from claims.parts import DATA, PARTS, Part, is_plain, spread
from errors import InvalidValueError
from evaluation.policies import Policy
from heads import known
from tasks.example import Example


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split, count in (("test", 10), ("dev", 4)):
        lines = "\n".join(" ".join(["word"] * (i + 1)) + f"\tWort {i}" for i in range(count))
        (tmp_path / f"{split}.tsv").write_text(lines)
    return tmp_path


def test_items_are_long_enough_and_spread(data: Path) -> None:
    part = Part("translate", ("{data}/%s.tsv",), min_words=3, dev_items=2)
    assert [len(example.source.split()) for example in part.test(data)] == list(range(3, 11))
    assert [len(example.source.split()) for example in part.test(data, limit=4)] == [3, 5, 7, 9]
    assert [example.id for example in part.dev(data)] == ["dev:3", "dev:4"]
    assert part.names("test") == ("test.tsv",)


def test_too_few_items_are_refused(data: Path) -> None:
    with pytest.raises(InvalidValueError, match="at least 20 test items; got 10"):
        Part("translate", ("{data}/%s.tsv",), items=20).test(data)


def test_needle_items_are_generated_and_differ_between_splits(tmp_path: Path) -> None:
    part = Part("answer", ("needle:%s:{count}",), items=5, dev_items=3)
    assert [example.id for example in part.test(tmp_path)] == [f"needle:test:0:{i}" for i in range(5)]
    assert [example.id for example in part.dev(tmp_path)] == [f"needle:dev:0:{i}" for i in range(3)]
    assert part.names("dev") == ("needle:dev",)


def test_every_part_names_policies_that_there_are_and_no_training_data() -> None:
    for name, part in PARTS.items():
        assert {*part.heads, *part.tiers} <= set(known())
        assert all(aim.of is None or isinstance(aim.of, Policy) for aim in part.aims)
        assert all("%s" in reference and "train" not in reference for reference in part.data)
        assert not any(reference.startswith(DATA) for reference in part.names("test"))
        assert not is_plain(name) or (not part.aims and part.baselines == ("full",))


def test_a_spread_takes_all_of_few() -> None:
    few = [Example(str(i), "a", ("b",)) for i in range(3)]
    assert spread(few, 5) == few
