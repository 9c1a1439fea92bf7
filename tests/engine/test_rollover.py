"""When a seam is due, what is taken of the source until then, and what is carried: text and counts only."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import rollover
from engine.rollover import Carried, Speech, carry, fill, forced_writes, is_due

PLENTY = 10**6


def characters(text: str) -> tuple[int, ...]:
    return tuple(map(ord, text))


def taken(speech: Speech, text: str, fits: int = PLENTY) -> list[tuple[str, bool]]:
    pieces = []
    at = 0
    while at < len(text):
        pieces.append(speech.take(text, at, fits))
        at += len(pieces[-1][0])
    return pieces


def test_a_slot_is_as_full_as_its_fuller_group() -> None:
    assert fill((10, 30), (100, 60)) == 0.5
    assert fill((90, 0), (100, 60)) == 0.9


def test_a_seam_is_at_a_sentence_end_past_the_half_or_at_any_word_when_it_gets_full() -> None:
    assert not is_due(0.5, sentence_ended=True)
    assert is_due(0.51, sentence_ended=True)
    assert not is_due(0.89, sentence_ended=False)
    assert is_due(0.9, sentence_ended=False)


@given(st.integers(0, 999), st.integers(0, 999), st.integers(-5, 999))
def test_a_seam_forces_some_writes_and_never_more_than_fit(units: int, words: int, left: int) -> None:
    assert 1 <= forced_writes(units, words, left) <= max(left, 1)
    assert forced_writes(units + 1, words, left) >= forced_writes(units, words, left)


def test_speech_is_taken_sentence_by_sentence_and_the_last_is_kept() -> None:
    speech = Speech()
    assert taken(speech, "One two. Three! Fo") == [("One two. ", True), ("Three! ", True), ("Fo", False)]
    assert speech.last == "Three! "
    assert taken(speech, "ur") == [("ur", False)]
    assert taken(speech, ".") == [(".", False)]
    assert taken(speech, " five") == [(" ", True), ("five", False)]
    assert speech.last == "Four. "


def test_a_sentence_may_have_ended_before_what_shows_it() -> None:
    speech = Speech()
    assert taken(speech, "世界。") == [("世界。", False)]
    assert taken(speech, "你好") == [("", True), ("你好", False)]
    assert speech.last == "世界。"


def test_where_it_might_not_fit_speech_is_taken_to_the_end_of_a_word() -> None:
    assert taken(Speech(), "one two. three ", fits=10) == [("one ", False), ("two. ", True), ("three ", False)]
    assert taken(Speech(), "one two three four ", fits=3 * 6) == [("one two ", False), ("three four ", False)]
    assert taken(Speech(), "one", fits=-5) == [("one", False)]
    assert [len(piece) for piece, _ in taken(Speech(), "x" * 20, fits=3)] == [8, 8, 4]


def test_no_append_is_searched_again_for_every_word_of_it() -> None:
    text, speech, at = "word " * 12_000, Speech(), 0
    start = time.perf_counter()
    while at < len(text):
        at += len(speech.take(text, at, 1)[0])
    assert time.perf_counter() - start < 5


@given(st.lists(st.text(alphabet=st.sampled_from(list("ab. !。界\n")), max_size=8)), st.sampled_from([5, PLENTY]))
def test_no_character_of_the_source_is_lost_or_doubled(pieces: list[str], fits: int) -> None:
    speech, whole = Speech(), ""
    for text in pieces:
        found = taken(speech, text, fits)
        assert "".join(piece for piece, _ in found) == text
        whole += text
        assert whole.endswith(speech._open)
        assert (speech.last + speech._open) in whole


def test_the_last_sentence_of_both_sides_is_carried() -> None:
    carried = carry(" Second one. ", "Erster. Der zweite.", (80, 80), source_tokens=characters, target_tokens=characters)
    assert carried == Carried("Second one. ", characters("Der zweite."))


@pytest.mark.parametrize(
    ("source", "target", "room"),
    [("", "Da.", (80, 80)), ("There. ", " ", (80, 80)), ("There. ", "Da.", (20, 80)), ("There. ", "Dort.", (80, 16))],
)
def test_nothing_is_carried_without_a_counterpart_or_where_it_is_long(source: str, target: str, room: tuple[int, int]) -> None:
    assert carry(source, target, room, source_tokens=characters, target_tokens=characters) == Carried()


def test_what_is_carried_is_never_a_seam_of_its_own() -> None:
    assert rollover.CARRIED < rollover.HALF < rollover.FULL < 1
