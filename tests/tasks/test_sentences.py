"""Where sentences end: marks of several scripts, what closes behind them, and the full stops that end nothing."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.sentences import first_end, sentences

TEXT = st.text(alphabet=st.sampled_from(list('ab B.!?…。！"”」) \n3')), max_size=60)


@pytest.mark.parametrize(
    "parts",
    [
        ["The dog sat. ", "Where? ", "There! ", "And so… ", "on"],
        ['He said "Go!" ', "(She went.) ", "«Oui.» ", "Yes."],
        ["Er kam am 3. Mai um 12. Stunde. ", "Dann ging er."],
        ["Mr. Smith met Dr. J. R. Jones of the U.S. army, e.g. on 3.14 or 1.000 days. ", "It was late."],
        ["Das gilt z.B. hier bzw. dort. ", "Gut."],
        ["In 1990. ", "Then nothing."],
        ["世界。", "「你好！」", "吗？", "好"],
        ["終わり。 ", "次"],
        ["他说：“你好。”", "她走了。”then he went. ", "“好。” ", "“吗？"],  # `”then` is one word
        ["世" + "。" * 17 + "好。", "吗"],  # a longer run of marks is no end
        ["क्या? ", "हाँ। ", "ठीक"],
        ["A headline\n\n", "Its text\ngoes on. ", "End"],
        ["Wait ... ", "what?! ", "no"],
        ["no end at all"],
    ],
)
def test_a_text_falls_into_its_sentences(parts: list[str]) -> None:
    assert sentences("".join(parts)) == parts


@pytest.mark.parametrize("text", ["The dog sat.", "The dog sat.”", "3.", "世界。", "世界。」", "Dr. ", "J. ", "", "a\n"])
def test_no_end_is_told_before_the_character_behind_it_came(text: str) -> None:
    assert first_end(text) is None


@pytest.mark.parametrize("part", [".", " ", "\n ", "。", "。”", ".'", "Mr. ", "\n" + " " * 33, "? \u200b"])
def test_the_search_is_linear_in_whatever_text(part: str) -> None:
    """The square of these lengths would take minutes."""
    text = part * (400_000 // len(part))
    start = time.perf_counter()
    first_end(text)
    first_end(text, len(text) - 1)
    assert time.perf_counter() - start < 20


@given(text=TEXT)
def test_sentences_joined_are_the_text(text: str) -> None:
    assert "".join(sentences(text)) == text


@given(text=TEXT, more=TEXT)
def test_an_end_once_told_stands_but_for_the_blanks_behind_it(text: str, more: str) -> None:
    """So that a stream may be cut at it while the rest is still to come."""
    early, late = first_end(text), first_end(text + more)
    if early is not None:
        assert late is not None
        assert (text + more)[:late].rstrip() == text[:early].rstrip()


@given(text=TEXT, seen=st.integers(0, 60))
def test_what_was_searched_before_need_not_be_searched_again(text: str, seen: int) -> None:
    if first_end(text[:seen]) is None:
        assert first_end(text, min(seen, len(text))) == first_end(text)


@given(text=TEXT, cut=st.integers(0, 60))
def test_no_end_is_found_in_what_was_passed_over(text: str, cut: int) -> None:
    """`Mr.` before an empty line is no end, and the empty line is none either, however far the search is on."""
    assert first_end("Mr.\n\n" + "a" * 62, 66) is None
    if first_end(text[:cut]) is None:
        end = first_end(text, min(cut, len(text)))
        assert end is None or end >= min(cut, len(text))
