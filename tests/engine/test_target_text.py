"""Text that is released is never taken back: stop strings are held until they are ruled out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.target_text import TargetText


class Letters:
    """A decoder of one letter a token."""

    def push(self, token: int) -> str:
        return chr(token)

    def flush(self) -> str:
        return ""


def feed(text: str, stop: tuple[str, ...]) -> tuple[str, list[str], TargetText]:
    made = TargetText(Letters(), stop)
    out = []
    for letter in text:
        out.append(made.push(ord(letter)))
        if made.stopped:
            break
    out.append(made.flush())
    return "".join(out), out, made


@given(text=st.text("abc", max_size=30), stop=st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_what_comes_out_is_the_text_before_the_first_stop_string(text: str, stop: list[str]) -> None:
    said, _, made = feed(text, tuple(stop))
    ends = [(text.find(s) + len(s), text.find(s)) for s in stop if s in text]
    # Text comes letter by letter: the stop string that is complete first wins, the longest of those from the earliest start.
    first = min((end for end, _ in ends), default=None)
    expected = text if first is None else text[: min(start for end, start in ends if end == first)]
    assert said == expected == made.sent
    assert made.stopped == bool(ends)


@given(text=st.text("ab", max_size=30), stop=st.lists(st.text("ab", min_size=1, max_size=4), max_size=2))
def test_no_more_is_held_than_may_become_a_stop_string(text: str, stop: list[str]) -> None:
    made = TargetText(Letters(), tuple(stop))
    pushed = ""
    for letter in text:
        made.push(ord(letter))
        pushed += letter
        if made.stopped:
            break
        held = pushed[len(made.sent) :]
        assert pushed == made.sent + held
        assert held == "" or any(s.startswith(held) for s in stop)


def test_tokens_are_counted_to_the_write_that_releases_them() -> None:
    made = TargetText(Letters(), ("abc",))
    assert [made.push(ord("a")), made.push(ord("b"))] == ["", ""]
    assert made.push(ord("x")) == "abx"
    assert (made.take_count(), made.take_count()) == (3, 0)


@pytest.mark.parametrize("stop", [(), ("zzz",)])
def test_flush_gives_what_is_held(stop: tuple[str, ...]) -> None:
    assert feed("hazz", stop)[0] == "hazz"


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [("end.", "new", "end. new"), ("end. ", "new", "end. new"), ("end.", " new", "end. new"), ("界。", "新", "界。新"), ("", "new", "new")],
)
def test_a_text_that_begins_anew_has_a_blank_before_it_where_words_have_blanks(before: str, after: str, found: str) -> None:
    for stop in ((), ("wx",)):
        made = TargetText(Letters(), stop)
        for letter in before:
            made.push(ord(letter))
        made.separate()
        for letter in after:
            made.push(ord(letter))
        made.flush()
        assert made.sent == found
