"""Quality at seams: how a long target is cut into its items, what is near, and that a loss at seams is found."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.engine import Engine, EngineConfig
from engine.session import Session
from errors import InvalidValueError
from evaluation import seams
from evaluation.policies import Policy
from evaluation.seams import Heard, measure, run, split
from tasks.example import Example
from tests import tiny
from tests.engine import copyist

EXAMPLES = [
    Example(f"item:{i}", text, (text,), cluster=f"item:{i}") for i in range(60) for text in [copyist.text(3, sentence=3, start=3 * i)]
]
POLICY = Policy("wait_k", 2.0)
WIDE = {"slot_length": 400, "stream_items": 60, "distance": 4}


def with_model(monkeypatch: pytest.MonkeyPatch, choose: Callable[[Engine, Session], int]) -> None:
    """What the engines of this module write."""

    def make(checkpoint: object, config: EngineConfig) -> Engine:
        engine = Engine(checkpoint, config)  # type: ignore[arg-type]
        return copyist.scripted(engine, lambda session: choose(engine, session))

    monkeypatch.setattr(seams, "Engine", make)


@pytest.mark.parametrize(
    ("text", "references", "parts"),
    [
        ("a b c d", ["a b", "c d"], ["a b", "c d"]),
        ("a x c d", ["a b", "c d"], ["a x", "c d"]),
        ("a c d", ["a b", "c d"], ["a", "c d"]),
        ("a b z c d", ["a b", "c d"], ["a b z", "c d"]),
        ("c d", ["a b", "c d"], ["", "c d"]),
        ("a b", ["a b", "c d"], ["a b", ""]),
        ("", ["a b", "c d"], ["", ""]),
    ],
)
def test_a_long_target_is_cut_where_fewest_words_are_edited(text: str, references: list[str], parts: list[str]) -> None:
    assert split(text, references) == parts


def test_an_item_is_near_a_seam_within_so_many_words_on_either_side() -> None:
    heard = Heard(("",) * 4, (0, 10, 20, 30, 40), (20,))
    assert [heard.near(item, 5) for item in range(4)] == [False, True, True, False]
    assert [heard.near(item, 10) for item in range(4)] == [False, True, True, False]
    assert [heard.near(item, 11) for item in range(4)] == [True] * 4


def test_slots_have_the_length_that_is_asked_for_whatever_the_task_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    with_model(monkeypatch, copyist.next_token)
    plain = tiny.checkpoint()
    words = plain.config.tasks["words"].model_copy(update={"rollover_tokens": 40})
    bounded = replace(plain, config=plain.config.model_copy(update={"tasks": {"words": words}}))
    (one,), (other,) = (list(run(made, "words", [EXAMPLES], POLICY, length=200, slots=1)) for made in (plain, bounded))
    assert other.seams == one.seams != ()


def test_a_model_that_loses_nothing_is_as_good_at_seams_as_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    with_model(monkeypatch, copyist.next_token)
    found = measure(tiny.checkpoint(), "words", EXAMPLES, POLICY, **WIDE)  # type: ignore[arg-type]
    assert found.seams > 8
    assert found.quality.items > 20
    assert (found.quality.near, found.quality.elsewhere) == (pytest.approx(100), pytest.approx(100))
    assert (found.quality.difference.low, found.quality.difference.high) == (0, 0)
    assert found.length.near == found.length.elsewhere == 1


def test_words_lost_at_seams_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that says nothing more once the slot is about to be used again."""

    def silent(engine: Engine, session: Session) -> int:
        return min(engine.checkpoint.frame.end) if session.controller.closing else copyist.next_token(engine, session)

    with_model(monkeypatch, silent)
    found = measure(tiny.checkpoint(), "words", EXAMPLES, Policy("wait_k", 4.0), **WIDE)  # type: ignore[arg-type]
    assert found.quality.difference.high < 0
    assert found.length.near < found.length.elsewhere


def test_where_all_is_near_there_is_nothing_to_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    with_model(monkeypatch, copyist.next_token)
    with pytest.raises(InvalidValueError, match="elsewhere in another"):
        measure(tiny.checkpoint(), "words", EXAMPLES[:20], POLICY, slot_length=120, stream_items=20)
