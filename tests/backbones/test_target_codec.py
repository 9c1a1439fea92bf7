"""Target text comes token by token, whole characters only, and joined it is the decoding of all ids at once."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from backbones.target_codec import TargetDecoder, word_starts
from errors import CheckpointError
from tests.backbones import tokenizers

Make = Callable[[], Tokenizer]
every = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in tokenizers.ALL.items()])
SCRAPS = [
    *["dog", " dogs", " sat", ".", " 12", "\n", "  ", " Größe", "'s"],
    *["世界", " 😀", "👩‍👩‍👧", "สวัสดี", "นี้", " नमस्ते"],
]
texts = st.lists(st.sampled_from(SCRAPS), max_size=20).map("".join)


def decode(make: Make, ids: list[int]) -> tuple[str, list[str]]:
    decoder = TargetDecoder(make())
    parts = [decoder.push(token) for token in ids]
    parts.append(decoder.flush())
    return "".join(parts), parts


@every
@settings(max_examples=80, deadline=None)
@given(text=texts)
def test_the_parts_joined_are_the_whole_and_no_part_is_half_a_character(make: Make, text: str) -> None:
    ids = make().encode(text, add_special_tokens=False).ids
    joined, parts = decode(make, ids)
    assert joined == make().decode(ids)
    if "\ufffd" not in make().decode(ids):
        assert not any("\ufffd" in part for part in parts)


@every
@settings(max_examples=60, deadline=None)
@given(ids=st.lists(st.integers(0, 880), max_size=30))
def test_any_ids_at_all_are_survived(make: Make, ids: list[int]) -> None:
    """A model may write broken bytes. Every letter of the whole decoding still comes, and so may sound neighbours that it gives up."""
    known = [token for token in ids if make().id_to_token(token) is not None]
    joined, _ = decode(make, known)

    def letters(text: str) -> str:
        return "".join(char for char in text if char.isascii() and char.isalpha())

    left = iter(letters(joined))
    assert all(char in left for char in letters(make().decode(known)))


def test_a_character_of_several_tokens_comes_with_its_last() -> None:
    ids = tokenizers.qwen2().encode("😀", add_special_tokens=False).ids
    assert len(ids) > 1
    _, parts = decode(tokenizers.qwen2, ids)
    assert parts == [""] * (len(ids) - 1) + ["😀", ""]


def test_half_a_character_at_the_end_is_flushed_as_a_replacement() -> None:
    ids = tokenizers.qwen2().encode("dog😀", add_special_tokens=False).ids
    joined, parts = decode(tokenizers.qwen2, ids[:-1])
    assert joined.startswith("dog")
    assert "\ufffd" in parts[-1]
    assert not any("\ufffd" in part for part in parts[:-1])


@every
def test_special_tokens_have_no_text(make: Make) -> None:
    special = [index for index, token in make().get_added_tokens_decoder().items() if token.special]
    ids = make().encode("dog", add_special_tokens=False).ids
    assert decode(make, [*special[:1], *ids, *special[:1]])[0].strip() == "dog"


@every
def test_a_long_run_of_broken_bytes_is_not_held_for_ever(make: Make) -> None:
    tokenizer = make()
    broken = next(token for token in (tokenizer.token_to_id("<0xFF>"), tokenizer.token_to_id("ÿ")) if token is not None)
    decoder = TargetDecoder(tokenizer)
    said = "".join(decoder.push(broken) for _ in range(200))
    assert len(said) > 100
    assert set(said) == {"\ufffd"}


@pytest.mark.parametrize("make", tokenizers.BYTE_LEVEL.values(), ids=tokenizers.BYTE_LEVEL)
def test_tokens_that_begin_with_a_blank_begin_a_word(make: Make) -> None:
    tokenizer, starts = make(), word_starts(make())
    ids = tokenizer.encode("dogs sat\nHund", add_special_tokens=False).ids
    begun = [tokenizer.decode([token]) for token in ids if starts[token]]
    assert begun
    assert all(text[0].isspace() for text in begun)
    assert all(not tokenizer.decode([token])[0].isspace() for token in ids if not starts[token])
    assert all(starts[tokenizer.token_to_id(special)] for special in tokenizers.SPECIALS)


@pytest.mark.parametrize("make", tokenizers.SENTENCEPIECE.values(), ids=tokenizers.SENTENCEPIECE)
def test_sentencepieces_marker_begins_a_word_although_decoding_strips_it(make: Make) -> None:
    tokenizer, starts = make(), word_starts(make())
    for index in range(tokenizer.get_vocab_size()):
        token = tokenizer.id_to_token(index)
        if token.startswith("▁") or token in ("<0x20>", "<0x0A>"):
            assert starts[index], token
        elif token[0].isalpha():
            assert not starts[index], token


@every
def test_there_is_a_flag_for_every_id(make: Make) -> None:
    assert len(word_starts(make())) == max(make().get_vocab(with_added_tokens=True).values()) + 1


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(CheckpointError, match="fast tokenizer"):
        TargetDecoder(object())  # type: ignore[arg-type]  # that is the point
