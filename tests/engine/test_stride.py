"""A wider stride: fewer decisions, at the places and with the phi that it says, and everything said at the source end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.actions import Append, AppendAudio, Decision, End, Event, Read, Restrided, Write
from engine.controller import Candidate, Controller, Phase, Rules
from engine.request import Request
from tests import tiny

WORDS = ["the", "dog", "sat", "down", "where", "the", "cats", "were", "and", "birds", "sang"]
TOKEN = Candidate(ends=False, begins_word=True)


@given(st.lists(st.integers(0, 5), max_size=30), st.integers(1, 9), st.none() | st.integers(1, 6))
def test_decision_points_are_a_stride_apart_unless_the_lag_forces_one(units: list[int], stride: int, max_lag: int | None) -> None:
    control = Controller(Rules(max_output_tokens=1000, max_lag=max_lag), threshold=2.0, stride=stride)
    since = 0
    for count in units:
        since += count
        opened = control.release(count)
        forced = max_lag is not None and control.lag >= max_lag
        assert opened == (count > 0 and (since >= stride or forced))
        while control.phase is Phase.DECIDING:
            since = 0
            control.decide(1.0, TOKEN)
            if control.verdict == "forced_write":
                assert control.trajectory[-1] == control.phi
    assert control.phi == sum(units)
    control.end_source()
    assert control.phase is Phase.DECIDING  # whatever the stride left over is decided on
    assert control.decide(None, TOKEN)[0] == "write"


@pytest.mark.parametrize("stride", [2, 3, 5])
def test_it_writes_what_it_would_had_so_many_words_come_at_once(stride: int) -> None:
    words = WORDS[: len(WORDS) // stride * stride]
    wide, plain = tiny.engine(), tiny.engine()
    session, other = (engine.open(Request("echo", threshold=0.4, allow_stride=True)) for engine in (wide, plain))
    session.set_stride(stride)
    for word in words:
        session.send(Append(word + " "))
    for at in range(0, len(words), stride):
        other.send(Append(" ".join(words[at : at + stride]) + " "))
    session.send(End())
    other.send(End())
    first, *events = tiny.finish(wide, session)
    assert first == Restrided(0.4, from_index=0, stride=stride)
    assert written(events) == written(tiny.finish(plain, other))
    assert [event.phi for event in events if isinstance(event, Read)] == list(range(1, len(words) + 1))


def written(events: list[Event]) -> list[tuple[str, int]]:
    writes = [(event.text, event.phi) for event in events if isinstance(event, Write)]
    assert len({phi for _, phi in writes}) > 1  # or it says nothing about phi
    return writes


def test_it_holds_from_the_next_source_on_and_is_told_once() -> None:
    engine = tiny.engine()
    session = engine.open(Request("echo", threshold=2.0, decisions=True, allow_stride=True))
    told: list[Decision | Restrided] = []
    for place, word in enumerate(WORDS[:9]):
        if place in (2, 8):
            session.set_stride(1 if place == 8 else 3)
        session.set_stride(session.stride)
        session.send(Append(word + " "))
        told += [event for event in tiny.finish(engine, session) if isinstance(event, Decision | Restrided)]
    assert [event.phi if isinstance(event, Decision) else (event.stride,) for event in told] == [1, 2, (3,), 5, 8, (1,), 9]


def test_audio_counts_decision_points() -> None:
    def decided(stride: int) -> list[int]:
        engine = tiny.hearing_engine()
        session = engine.open(Request("listen", threshold=2.0, audio=tiny.AUDIO, decisions=True, allow_stride=True))
        session.set_stride(stride)
        session.send(AppendAudio(tiny.sound(4.0)))
        return [event.phi for event in tiny.finish(engine, session) if isinstance(event, Decision)]

    every = decided(1)
    assert len(every) >= 6
    assert decided(2) == every[1::2]
    assert decided(3) == every[2::3]
