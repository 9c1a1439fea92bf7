"""What may be sent again: everything from the first frame that the server may lack, in its order, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proactivellm_client import unanswered
from proactivellm_client.unanswered import FRAMES, Unanswered, pauses


@given(st.lists(st.booleans(), max_size=40), st.data())
def test_all_behind_any_number_that_may_be_asked_for_is_kept(is_source: list[bool], data: st.DataObject) -> None:
    kept, frames, numbers = Unanswered(), ["start"], [0]
    kept.add("start", 0)
    n = 0
    for place, source in enumerate(is_source):
        n += source
        frames.append(f"frame {place}")
        numbers.append(n if source else -1)
        kept.add(frames[-1], n if source else None)
    answered = data.draw(st.integers(0, n))
    kept.arrived(answered)
    known = numbers.index(answered) + 1  # so many frames have arrived for certain
    arrived = data.draw(st.integers(known, len(frames)))
    again, place = [], arrived
    while (frame := kept.after(place)) is not None:
        again.append(frame)
        place += 1
    assert again == frames[arrived:]
    for impossible in (known - 1, len(frames) + 1):
        with pytest.raises(LookupError):
            kept.after(impossible)


def test_an_answer_to_what_is_not_kept_drops_nothing() -> None:
    kept = Unanswered()
    kept.add("a", 1)
    kept.arrived(7)
    assert kept.after(0) == "a"


def test_it_is_bounded_in_frames_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Unanswered()
    for n in range(FRAMES + 5):
        kept.add("a", n)
    assert kept.after(5) == "a"
    with pytest.raises(LookupError):
        kept.after(4)
    monkeypatch.setattr(unanswered, "BYTES", 10)
    kept.add(b"123456", None)
    kept.add(b"123456", None)
    assert kept.after(FRAMES + 6) == b"123456"
    with pytest.raises(LookupError):
        kept.after(FRAMES + 5)


def test_pauses_grow_and_differ_between_clients() -> None:
    first, second = list(pauses()), list(pauses())
    assert first != second
    assert all(pause <= limit for pause, limit in zip(first, unanswered.DELAYS, strict=True))
    assert sum(unanswered.DELAYS) / 2 <= sum(first) <= sum(unanswered.DELAYS)
