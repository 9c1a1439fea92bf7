"""Lag behind spoken words: of those that were recognised, from where the recording says that they end."""

from hypothesis import given
from hypothesis import strategies as st

from engine.actions import Write
from evaluation.record import Record, word_writes
from evaluation.word_lag import lags


def record(target: str, writes: tuple[int, ...], reference: str = "Three five, nine.", ends: tuple[int, ...] = (500, 1000, 1500)) -> Record:
    return Record(
        policy="p",
        curve="p",
        threshold=None,
        id="a",
        cluster="a",
        source="",
        references=(reference,),
        target=target,
        reason="end",
        source_length=2000,
        read=2000,
        delays=writes,
        word_delays=writes,
        decisions=(),
        word_writes=writes,
        word_ends=ends,
    )


def test_a_lag_is_from_the_words_end_to_its_write() -> None:
    assert lags(record("three five nine", (800, 1200, 2000))) == [300.0, 200.0, 500.0]


def test_words_that_were_not_recognised_have_none() -> None:
    assert lags(record("three four nine", (800, 1200, 2000))) == [300.0, 500.0]
    assert lags(record("five", (1200,))) == [200.0]
    assert lags(record("oh three five nine", (100, 800, 1200, 2000))) == [300.0, 200.0, 500.0]
    assert lags(record("", ())) == []


def test_a_word_may_be_written_before_its_end() -> None:
    assert lags(record("three", (400,))) == [-100.0]


def test_punctuation_alone_is_a_word_still() -> None:
    assert lags(record("three - nine", (800, 900, 2000), reference="three - nine")) == [300.0, -100.0, 500.0]


def test_without_ends_there_is_nothing() -> None:
    assert lags(record("three", (400,), ends=())) == []


@given(st.lists(st.tuples(st.text("ab \n", max_size=4), st.integers(0, 9)), max_size=8))
def test_a_word_is_written_when_its_last_character_is(pieces: list[tuple[str, int]]) -> None:
    writes = [Write(text, 0, 0, sum(step for _, step in pieces[: place + 1]), 0) for place, (text, _) in enumerate(pieces)]
    text = "".join(write.text for write in writes)
    phis = [write.phi for write in writes for _ in write.text]
    last = [place for place, char in enumerate(text) if not char.isspace() and (place + 1 == len(text) or text[place + 1].isspace())]
    assert word_writes(writes) == [phis[place] for place in last]
    assert len(last) == len(text.split())
