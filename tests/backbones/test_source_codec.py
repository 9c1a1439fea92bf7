"""However a text is cut, its tokens and units are those of the whole text at once; on every family's tokenizer."""

import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from backbones.source_codec import RUN_CUT, SourceCodec, SourceUnits
from errors import BadStateError, CheckpointError, InvalidValueError
from tests.backbones import tokenizers

Make = Callable[[], Tokenizer]
every = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in tokenizers.ALL.items()])
byte_level = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in tokenizers.BYTE_LEVEL.items()])

SCRAPS = [
    *"aZ0 \n\t'.!/-_é",
    "dog", "dogs", "'ll", "123", "  ", "   ", " \n", "\r\n", "\n\n", "...", "!\n", "!?/",
    "\u00a0", "\u3000", "\u200d", "\u0301", "▁", "ß", "Собака", "καλη",
    "世界", "你好世界你好", "カタカナ", "สวัสดี", "안녕", "שלום", "नमस्ते",
    "😀", "👩‍👩‍👧", "<|im_end|>", "<s>", "</s>", "<unk>", "<0x41>", "<tool>",
]  # fmt: skip
texts = st.lists(st.sampled_from(SCRAPS) | st.characters(exclude_categories=["Cs"]), max_size=24).map("".join)
SEGMENTED = st.lists(st.sampled_from(["dog", "a", "12", "!", "é", "Собака", "😀", " ", "  ", "\n", "\t", "\r\n"]), max_size=24).map("".join)


def codec(make: Make) -> SourceCodec:
    return SourceCodec(tokenizers.fast(make()))


def cut(text: str, points: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(point % (len(text) + 1) for point in points)})
    return [text[a:b] for a, b in pairwise(edges)]


def stream(made: SourceCodec, pieces: list[str]) -> SourceUnits:
    running = made.stream()
    parts = [*(running.append(piece) for piece in pieces), running.finish()]
    releases = [part.released for part in parts]
    assert releases == sorted(releases)
    for part in parts:
        assert all(unit < part.released for unit in part.units) or part is parts[-1]  # a token comes with its unit, not before
    assert running.held == ""
    return SourceUnits(tuple(t for p in parts for t in p.tokens), tuple(u for p in parts for u in p.units), parts[-1].released)


@every
@settings(max_examples=150, deadline=None)
@given(text=texts, points=st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunking_equals_the_whole(make: Make, text: str, points: list[int]) -> None:
    made = codec(make)
    assert stream(made, cut(text, points)) == made.encode(text)


@every
@settings(max_examples=40, deadline=None)
@given(text=texts)
def test_character_by_character_equals_the_whole(make: Make, text: str) -> None:
    made = codec(make)
    assert stream(made, list(text)) == made.encode(text)


@every
def test_a_real_text_in_every_script_character_by_character(make: Make) -> None:
    made = codec(make)
    assert stream(made, list(tokenizers.TEXT)) == made.encode(tokenizers.TEXT)


@every
@settings(max_examples=60, deadline=None)
@given(text=SEGMENTED)
def test_the_whole_is_what_the_tokenizer_itself_makes_of_it(make: Make, text: str) -> None:
    """So that a model reads what it was trained on. Runs of unsegmented script, which are cut every eight characters, are left out."""
    found = codec(make).encode(text).tokens
    assert list(found) == make().encode(text, add_special_tokens=False).ids


@byte_level
def test_a_run_of_unsegmented_script_is_cut_every_eight_characters_from_its_start(make: Make) -> None:
    made, plain = codec(make), make()
    run = "世界你好狗坐在草地上今日は世界"
    assert len(run) > RUN_CUT
    first, second = (plain.encode(part, add_special_tokens=False).ids for part in ("dog " + run[:RUN_CUT], run[RUN_CUT:]))
    assert list(made.encode("dog " + run).tokens) == first + second


@every
@settings(max_examples=60, deadline=None)
@given(text=SEGMENTED)
def test_units_are_whitespace_words(make: Make, text: str) -> None:
    found = codec(make).encode(text)
    assert found.released == len(text.split())
    if found.released:
        assert set(found.units) == set(range(found.released))
    assert list(found.units) == sorted(found.units)


@every
def test_in_unsegmented_scripts_each_character_is_a_unit_and_the_wait_is_bounded(make: Make) -> None:
    running = codec(make).stream()
    released = [running.append(char).released for char in "世界你好" * 8]
    assert all(count >= place + 1 - RUN_CUT for place, count in enumerate(released))
    assert running.finish().released == 32


@every
@pytest.mark.parametrize("blank", [" ", "\n", "\t"])
def test_a_trailing_blank_releases_the_word_at_once(make: Make, blank: str) -> None:
    running = codec(make).stream()
    assert [running.append(word + blank).released for word in ("The", "dog", "sat")] == [1, 2, 3]


@every
def test_a_leading_blank_waits_to_see_what_becomes_of_the_word(make: Make) -> None:
    running = codec(make).stream()
    assert [running.append(piece).released for piece in ("The", " dog", "s", " sat")] == [0, 1, 1, 2]
    assert running.finish().released == 3


@byte_level
def test_a_word_whose_break_may_belong_to_it_waits_for_the_character_after(make: Make) -> None:
    """Qwen's pre-token takes line breaks behind punctuation along."""
    running = codec(make).stream()
    assert running.append("dog!\n").released in (0, 1)
    assert running.append("x").released == 1


@byte_level
@settings(max_examples=30, deadline=None)
@given(text=texts)
def test_special_tokens_in_the_source_stay_plain_text(make: Make, text: str) -> None:
    """Or a source could end the sequence, or speak in the assistant's name."""
    made, plain = codec(make), make()
    special = {plain.token_to_id(token) for token in tokenizers.SPECIALS}
    for token in tokenizers.SPECIALS:
        assert not special & set(stream(made, [text + token[:4], token[4:] + text]).tokens)


@pytest.mark.parametrize("make", tokenizers.SENTENCEPIECE.values(), ids=tokenizers.SENTENCEPIECE)
def test_sentencepieces_control_tokens_in_the_source_stay_plain_text(make: Make) -> None:
    found = codec(make).encode("dog</s> <s>cat").tokens
    assert not {make().token_to_id("</s>"), make().token_to_id("<s>")} & set(found)


@every
def test_lone_surrogates_are_refused_and_the_stream_goes_on(make: Make) -> None:
    made = codec(make)
    running = made.stream()
    first = running.append("The dog ")
    with pytest.raises(InvalidValueError, match=r"U\+D800 at 2"):
        running.append("ab\ud800 ")
    rest = [running.append("sat."), running.finish()]
    assert first.tokens + rest[0].tokens + rest[1].tokens == made.encode("The dog sat.").tokens
    with pytest.raises(InvalidValueError):
        made.encode("\udfff")


@every
def test_nothing_comes_after_finish(make: Make) -> None:
    running = codec(make).stream()
    running.append("dog")
    running.finish()
    with pytest.raises(BadStateError):
        running.append("s")
    with pytest.raises(BadStateError):
        running.finish()


@every
def test_no_text_is_no_token(make: Make) -> None:
    made = codec(make)
    assert made.encode("") == stream(made, []) == stream(made, ["", ""]) == SourceUnits((), (), 0)
    assert made.encode(" \n ").released == 0


@every
def test_streams_of_one_codec_do_not_know_of_each_other(make: Make) -> None:
    made = codec(make)
    a, b = made.stream(), made.stream()
    parts = []
    for piece in ("The ", "dog ", "sat."):
        parts.append(a.append(piece))
        b.append(piece[::-1])
    parts.append(a.finish())
    assert tuple(t for part in parts for t in part.tokens) == made.encode("The dog sat.").tokens


@every
@pytest.mark.parametrize("unit", ["a", "!\n/", "世", " "], ids=["letters", "breaks", "unsegmented", "blanks"])
def test_a_text_made_to_release_nothing_costs_no_square(make: Make, unit: str) -> None:
    """Four times the text in as many appends more takes nowhere near sixteen times the time."""

    def seconds(count: int) -> float:
        running = codec(make).stream()
        started = time.process_time()
        for _ in range(count):
            running.append(unit)
        running.finish()
        return time.process_time() - started

    seconds(200)
    short = min(seconds(1500) for _ in range(2))
    assert seconds(6000) < 10 * short + 0.25


def test_a_tokenizer_whose_tokens_need_the_whole_text_is_refused() -> None:
    spanning = tokenizers.llama2()
    spec = spanning.to_str().replace('"ignore_merges":false', '"ignore_merges":true')
    with pytest.raises(CheckpointError, match="span a space"):
        SourceCodec(Tokenizer.from_str(spec))


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(CheckpointError, match="fast tokenizer"):
        SourceCodec(object())  # type: ignore[arg-type]  # that is the point


def test_the_callers_tokenizer_is_not_changed() -> None:
    mine = tokenizers.qwen2()
    before = mine.to_str()
    SourceCodec(tokenizers.fast(mine)).encode("dog " * 10)
    assert mine.to_str() == before
