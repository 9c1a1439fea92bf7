"""However a text is cut, its tokens and units are those of the whole text at once; on every family's tokenizer."""

import json
import re
import time
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, normalizers, processors

from backbones.source_codec import RUN_CUT, SourceCodec, SourceUnits
from errors import BadStateError, CheckpointError, InvalidValueError
from tests.backbones import tokenizers

Make = Callable[[], Tokenizer]
every = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in tokenizers.ALL.items()])
byte_level = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in tokenizers.BYTE_LEVEL.items()])

SCRAPS = [
    *"aZ0 \n\t'.!/-_é",
    "dog", "dogs", "'ll", "123", "  ", "   ", " \n", "\r\n", "\n\n", "...", "!\n", "!?/",
    "\u00a0", "\u3000", "\u200d", "\u0301", "▁", "▁ ", "ß", "Собака", "καλη",
    "世界", "你好世界你好", "カタカナ", "สวัสดี", "안녕", "שלום", "नमस्ते",
    "😀", "👩‍👩‍👧", "<|im_end|>", "<s>", "</s>", "<unk>", "<0x41>", "<tool>",
]  # fmt: skip
texts = st.lists(st.sampled_from(SCRAPS) | st.characters(exclude_categories=["Cs"]), max_size=24).map("".join)
SEGMENTED = st.lists(st.sampled_from(["dog", "a", "12", "!", "é", "Собака", "😀", " ", "  ", "\n", "\t", "\r\n"]), max_size=24).map("".join)
# Every unsegmented script lies above U+0E00; other scripts do as well, so this leaves out a little more than it must.
MAYBE_CUT = re.compile(f"[\u0e01-\U0010ffff]{{{RUN_CUT}}}")


def respelt(make: Make, **parts: object) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(json.loads(make().to_str()) | parts))


def with_added(make: Make, *added: AddedToken) -> Tokenizer:
    tokenizer = respelt(make)
    tokenizer.add_tokens(list(added))
    return tokenizer


def with_double_marker() -> Tokenizer:
    """Llama 2's own vocabulary has runs of markers, and the text may hold a marker of its own before a space."""
    model = json.loads(tokenizers.llama2().to_str())["model"]
    model["vocab"]["▁▁"] = len(model["vocab"])
    model["merges"].insert(0, ["▁", "▁"])
    return respelt(tokenizers.llama2, model=model)


TOOL = AddedToken("<tool>", normalized=False)
PREFIXED = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
MARKED = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
TAKES_BLANKS = AddedToken("</s>", rstrip=True, normalized=False)
VARIANTS: dict[str, Make] = {
    "a space before the text": lambda: respelt(tokenizers.gpt2, pre_tokenizer=PREFIXED),
    "a token that takes the blanks after it along": lambda: with_added(tokenizers.qwen2, TAKES_BLANKS),
    "a token across an edge": lambda: with_added(tokenizers.gemma, AddedToken("!\n", normalized=False)),
    "a marker always": lambda: respelt(tokenizers.metaspace, pre_tokenizer=MARKED),
    "a marker after every added token": lambda: with_added(tokenizers.llama2, TOOL),
    "an added token between markers": lambda: with_added(tokenizers.metaspace, TOOL),
    "tokens of several markers": with_double_marker,
}


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


@pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in (tokenizers.ALL | VARIANTS).items()])
@settings(max_examples=120, deadline=None)
@given(text=texts, points=st.lists(st.integers(0, 10_000), max_size=12))
def test_any_chunking_equals_the_whole(make: Make, text: str, points: list[int]) -> None:
    made = codec(make)
    assert stream(made, cut(text, points)) == stream(made, list(text)) == made.encode(text)


@every
def test_a_real_text_in_every_script_character_by_character(make: Make) -> None:
    made = codec(make)
    assert stream(made, list(tokenizers.TEXT)) == made.encode(tokenizers.TEXT)


@every
@settings(max_examples=80, deadline=None)
@given(text=texts)
def test_the_whole_is_what_the_tokenizer_itself_makes_of_it(make: Make, text: str) -> None:
    """So that a model reads what it was trained on. It differs in two places only, each with a test below.

    Runs of unsegmented script are cut every eight characters, or a text without blanks would be held to its end. Special tokens, and
    added tokens that reach into the text beside them, are read as plain text: no source may end the sequence.
    """
    assume(not MAYBE_CUT.search(text))
    plain = respelt(make)
    plain.encode_special_tokens = True
    assert list(codec(make).encode(text).tokens) == plain.encode(text, add_special_tokens=False).ids


def test_an_added_token_that_reaches_beside_it_is_plain_text_and_one_that_does_not_is_kept() -> None:
    tokenizer = with_added(tokenizers.qwen2, TOOL, TAKES_BLANKS)
    found = SourceCodec(tokenizer).encode("dog <tool> sat</s> there").tokens
    assert tokenizer.token_to_id("<tool>") in found
    assert tokenizer.token_to_id("</s>") not in found


def test_what_would_cut_pad_extend_or_randomise_the_tokens_is_left_out() -> None:
    tokenizer = respelt(tokenizers.metaspace)
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=40)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", tokenizer.token_to_id("<s>"))])
    spec = json.loads(tokenizer.to_str())
    spec["model"]["dropout"] = 0.9
    text = "The dogs sat down again and again."
    expected = tokenizers.metaspace().encode(text, add_special_tokens=False).ids
    assert list(SourceCodec(Tokenizer.from_str(json.dumps(spec))).encode(text).tokens) == expected


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
def test_a_character_of_unsegmented_script_is_a_unit_beside_a_word_too(make: Make) -> None:
    found = codec(make).encode("dog世界cats sat, 犬!")  # dog 世 界 cats sat, 犬 !
    assert found.released == 7


@every
@pytest.mark.parametrize("blank", [" ", "\n", "\t"])
def test_a_trailing_blank_releases_the_word_at_once(make: Make, blank: str) -> None:
    running = codec(make).stream()
    assert [running.append(word + blank).released for word in ("The", "dog", "sat")] == [1, 2, 3]


@every
def test_a_leading_blank_waits_to_see_what_becomes_of_the_word(make: Make) -> None:
    running = codec(make).stream()
    seen = [(running.append(piece).released, running.held) for piece in ("The", " dog", "s", " sat", " ")]
    assert seen == [(0, "The"), (1, " dog"), (1, " dogs"), (2, " sat"), (3, " ")]


@byte_level
def test_a_word_whose_break_may_belong_to_it_waits_for_the_character_after(make: Make) -> None:
    """From Qwen2 on the pre-token of punctuation takes the line breaks behind it along; GPT-2's ends before them."""
    running = codec(make).stream()
    alone = make in (tokenizers.gpt2, tokenizers.neox)
    assert [running.append(piece).released for piece in ("dog!\n", "x")] == [1 if alone else 0, 1]


@every
@settings(max_examples=30, deadline=None)
@given(text=texts)
def test_special_tokens_in_the_source_stay_plain_text(make: Make, text: str) -> None:
    """Or a source could end the sequence, or speak in the assistant's name."""
    made = codec(make)
    special = {index: added.content for index, added in make().get_added_tokens_decoder().items() if added.special}
    assert special
    for token in special.values():
        assert not special.keys() & set(stream(made, [text + token[:4], token[4:] + text]).tokens)


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


def test_a_vocabulary_that_joins_words_behind_no_splitter_is_refused() -> None:
    spec = tokenizers.llama2().to_str().replace('"ignore_merges":false', '"ignore_merges":true')
    with pytest.raises(CheckpointError, match="span a space"):
        SourceCodec(Tokenizer.from_str(spec))


def test_a_tokenizer_whose_tokens_need_the_whole_text_is_refused() -> None:
    tokenizer = respelt(tokenizers.gpt2)
    tokenizer.normalizer = normalizers.Replace(Regex(r"^Dog[\s\S]*z"), "q")
    with pytest.raises(CheckpointError, match="needs the whole text"):
        SourceCodec(tokenizer)


def test_a_special_token_that_plain_text_spells_is_refused() -> None:
    tokenizer = respelt(tokenizers.llama3)
    tokenizer.add_special_tokens([AddedToken("a")])
    with pytest.raises(CheckpointError, match="'a' as plain text"):
        SourceCodec(tokenizer)


@byte_level
def test_plain_text_is_not_cut(make: Make) -> None:
    codec = SourceCodec(tokenizers.fast(make()))
    text = "dog " + "世" * 20
    assert list(codec.plain(text)) == make().encode(text, add_special_tokens=False).ids
    with pytest.raises(InvalidValueError):
        codec.plain("\ud800")


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(CheckpointError, match="fast tokenizer"):
        SourceCodec(object())  # type: ignore[arg-type]  # that is the point


def test_the_callers_tokenizer_is_not_changed() -> None:
    mine = tokenizers.qwen2()
    before = mine.to_str()
    SourceCodec(tokenizers.fast(mine)).encode("dog " * 10)
    assert mine.to_str() == before
