"""The mixture: shares, epochs, joins, batch sizes, and the same batches again from any state."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest

from errors import InvalidValueError
from tasks.example import Example
from tests import tiny
from tests.training import examples
from training import data
from training.budget import Budget
from training.config import Data
from training.data import Mixture, Part, Views, cut, joined
from training.objective import Loss
from training.views import Packed

TASK = tiny.TASKS["echo"]
LIMIT = 400


@pytest.fixture(autouse=True)
def _small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "WINDOW", 16)


def part(name: str, count: int, *, long: bool = False, end: str = "", **settings: object) -> Part:
    rows = [Example(f"{name}:{i}", "dog " * (1 + i % 5 + 60 * long) + "end" + end, ("Hund " * (1 + i % 3) + end,)) for i in range(count)]
    return Part(Data.model_validate({"data": name, "task": "echo", "trailing_blank": 0, **settings}), TASK, rows)


def mixture(
    parts: Sequence[Part], *, seed: int = 0, limit: int = LIMIT, loss: Loss | None = None, positions: int = 512, workers: int = 0
) -> Mixture:
    views = Views(loss or Loss(), Budget(), 0)
    return Mixture(parts, examples.encoder(positions), views, seed=seed, batch_tokens=limit, workers=workers)


def ids(batches: Sequence[Sequence[Packed]]) -> list[str]:
    return [example.id for batch in batches for example in batch]


def test_every_item_comes_once_an_epoch_in_an_order_of_its_own() -> None:
    drawn = ids(list(islice(mixture([part("a", 48)]), 60)))
    first, second = drawn[:48], drawn[48:96]
    assert set(first) == set(second) == {f"a:{i}" for i in range(48)}
    assert first != second


def test_parts_are_mixed_by_weight_or_by_their_size() -> None:
    weighted = Counter(name[0] for name in ids(list(islice(mixture([part("a", 10, weight=3), part("b", 500, weight=1)]), 100))))
    assert weighted["a"] / weighted.total() == pytest.approx(0.75, abs=0.08)
    by_size = Counter(name[0] for name in ids(list(islice(mixture([part("a", 50), part("b", 200)]), 100))))
    assert by_size["a"] / by_size.total() == pytest.approx(0.2, abs=0.08)


def test_batches_keep_to_their_rows_and_hold_similar_lengths() -> None:
    batches = list(islice(mixture([part("a", 40), part("b", 40, long=True)], limit=LIMIT), 40))
    assert all(len(batch) * max(map(len, batch)) <= LIMIT for batch in batches)
    assert sum(len(batch) > 1 for batch in batches) > 10
    spread = [max(map(len, batch)) / min(map(len, batch)) for batch in batches]
    assert sum(ratio < 1.5 for ratio in spread) > 0.8 * len(spread)


def test_an_example_that_is_longer_than_a_batch_is_one_of_its_own() -> None:
    batches = list(islice(mixture([part("b", 20, long=True)], limit=10), 20))
    assert all(len(batch) == 1 for batch in batches)
    assert cut([], 5) == [[]]


@pytest.mark.parametrize("after", [0, 1, 7, 23])
def test_a_restored_mixture_goes_on_with_the_same_batches(after: int) -> None:
    parts = [part("a", 30, join=[0.5, 0.3, 0.2], trailing_blank=0.5), part("b", 7), part("c", 9, end=".", carried=0.5)]
    plain, broken = mixture(parts), mixture(parts)
    list(islice(plain, after))
    list(islice(broken, after))
    resumed = mixture(parts)
    resumed.restore(broken.state())
    for mine, its in zip(islice(plain, 15), islice(resumed, 15), strict=True):
        assert ids([mine]) == ids([its])
        for left, right in zip(mine, its, strict=True):
            assert all((vars(left)[field] == vars(right)[field]).all() for field in ("tokens", "limit", "copy", "step", "target"))
    other = mixture(parts, seed=1)
    assert ids(list(islice(other, 5))) != ids(list(islice(mixture(parts), 5)))


def test_items_are_joined_as_often_as_asked_and_never_beyond_the_models_positions() -> None:
    drawn = ids(list(islice(mixture([part("a", 50, join=[0.5, 0.0, 0.5])]), 60)))
    counts = Counter(name.count("+") + 1 for name in drawn)
    assert counts[2] == 0
    assert counts[3] / counts.total() == pytest.approx(0.5, abs=0.1)
    # 66 words each: two of them are too many.
    assert not any("+" in name for name in ids(list(islice(mixture([part("b", 9, long=True, join=[0, 1])], positions=128), 20))))
    both = joined([Example("a", "one two ", ("eins",)), Example("b", "three", ("drei ",))], " ")
    assert (both.id, both.source, both.references) == ("a+b", "one two three ", ("eins drei",))


def test_the_end_of_the_source_has_a_blank_as_often_as_asked() -> None:
    def closing(share: float) -> set[int]:
        batches = islice(mixture([part("a", 1, trailing_blank=share)], loss=Loss(mslm=False, spsd=False)), 30)
        return {example.text_tokens for batch in batches for example in batch}

    bare, blank = closing(0), closing(1)
    assert len(bare) == len(blank) == 1
    assert blank == {size + 1 for size in bare}
    assert closing(0.5) == bare | blank


def test_items_begin_with_the_last_sentence_of_another_as_often_as_asked() -> None:
    parts = [part("a", 50, end=".", carried=0.3), part("b", 50, carried=1)]
    batches = list(islice(mixture(parts), 80))
    whole = [example for batch in batches for example in batch]
    share = Counter(">" in example.id for example in whole if example.id.startswith("a"))
    assert share[True] / share.total() == pytest.approx(0.3, abs=0.08)
    assert {example.carried > 0 for example in whole if ">" in example.id} == {True}
    # Without a full stop it is no sentence.
    assert not any(example.carried for example in whole if example.id.startswith("b"))


def test_what_would_be_too_long_with_a_carried_sentence_comes_without() -> None:
    whole = list(islice(mixture([part("b", 9, long=True, end=".", carried=1)], positions=128), 20))
    assert whole
    assert not any(example.carried for batch in whole for example in batch)


def test_batches_made_by_other_processes_are_the_same() -> None:
    parts = [part("a", 90, join=[0.5, 0.5], end="."), part("b", 70, end=".", carried=0.5)]
    plain, ahead = mixture(parts), mixture(parts, workers=2)
    for number, (mine, its) in enumerate(zip(islice(plain, 120), islice(ahead, 120), strict=True)):
        assert ids([mine]) == ids([its])
        assert all((left.tokens == right.tokens).all() and (left.limit == right.limit).all() for left, right in zip(mine, its, strict=True))
        assert plain.state() == ahead.state(), number
    resumed = mixture(parts, workers=1)
    resumed.restore(ahead.state())
    assert ids([next(resumed)]) == ids([next(ahead)])


def test_a_run_that_is_gone_on_with_has_the_batches_that_it_was_begun_with() -> None:
    """Of this version: where the digest changes, older runs go on to other batches, and the change log has to say so."""
    parts = [part("a", 50, end=".", join=[0.5, 0.3, 0.2], trailing_blank=0.3), part("b", 20, end=".", trailing_blank=0.3)]
    digest = hashlib.sha256()
    for batch in islice(mixture(parts, seed=3, limit=500, loss=Loss(views=2)), 40):
        for example in batch:
            digest.update(example.id.encode())
            for field in ("tokens", "positions", "limit", "copy", "step", "target"):
                digest.update(vars(example)[field].astype("int64").tobytes())
    assert digest.hexdigest() == "5dbda8a70f6daccba9cba0219724e63b95c41f8d6eb699cf527acab76dc3ae49"


def test_only_items_of_so_many_words_are_taken_if_asked(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("".join(f"{'dog ' * count}end\t{'Hund ' * count}\n" for count in range(1, 9)), encoding="utf-8")

    def lengths(**settings: object) -> list[int]:
        found = data.read(Data.model_validate({"data": str(pairs), "task": "echo", **settings}), {"echo": TASK}).examples
        return [len(example.source.split()) for example in found]

    assert lengths() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert lengths(max_words=4) == [2, 3, 4]
    assert lengths(max_words=4, limit=2) == [2, 3]
    with pytest.raises(InvalidValueError, match="expected an item of at most 1 words; got none"):
        lengths(max_words=1)
