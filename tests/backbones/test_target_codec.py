"""Target text comes token by token, whole characters only, and joined it is the decoding of all ids at once."""

import json
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
byte_level = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in tokenizers.BYTE_LEVEL.items()])
sentencepiece = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in tokenizers.SENTENCEPIECE.items()])
SCRAPS = [
    *["dog", " dogs", " sat", ".", " 12", "\n", "  ", " Größe", "'s"],
    *["世界", " 😀", "👩‍👩‍👧", "สวัสดี", "นี้", " नमस्ते"],
]
texts = st.lists(st.sampled_from(SCRAPS) | st.characters(exclude_categories=["Cs"]), max_size=20).map("".join)


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


@st.composite
def random_ids(draw: st.DrawFn, make: Make) -> list[int]:
    """As likely a piece of a character as anything else, or broken bytes would be rare."""
    vocabulary = make().get_vocab()
    pieces = sorted(index for token, index in vocabulary.items() if len(token) == 1 or token.startswith("<0x"))
    return draw(st.lists(st.sampled_from(pieces) | st.sampled_from(sorted(vocabulary.values())), max_size=24))


@byte_level
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_ids_come_out_as_they_do_at_once(make: Make, data: st.DataObject) -> None:
    """A model may write bytes that are no character at all."""
    ids = data.draw(random_ids(make))
    assert decode(make, ids)[0] == make().decode(ids)


@sentencepiece
@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_of_any_ids_no_sound_character_and_no_break_is_lost(make: Make, data: st.DataObject) -> None:
    """No more holds: given broken bytes at once, byte fallback replaces their sound neighbours too, which are out here already."""
    ids = data.draw(random_ids(make))
    joined, whole = decode(make, ids)[0], make().decode(ids)
    left = iter(joined)
    assert all(char in left for char in whole.replace("\ufffd", "")), (joined, whole)
    assert ("\ufffd" in joined) == ("\ufffd" in whole)
    assert joined == whole or "\ufffd" in whole


@sentencepiece
def test_a_broken_byte_behind_a_sound_character_costs_one_replacement(make: Make) -> None:
    ids = [make().token_to_id(token) for token in ("<0xC3>", "<0xA9>", "<0x80>", "a")]
    assert decode(make, ids)[0] == "é\ufffda"


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


@byte_level
def test_tokens_that_begin_with_a_blank_begin_a_word(make: Make) -> None:
    tokenizer, starts = make(), word_starts(make())
    ids = tokenizer.encode("dogs sat\nHund", add_special_tokens=False).ids
    begun = [tokenizer.decode([token]) for token in ids if starts[token]]
    assert begun
    assert all(text[0].isspace() for text in begun)
    assert all(not tokenizer.decode([token])[0].isspace() for token in ids if not starts[token])
    assert all(starts[tokenizer.token_to_id(special)] for special in tokenizers.SPECIALS)


@sentencepiece
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


def test_ids_between_those_of_the_vocabulary_begin_a_word() -> None:
    spec = json.loads(tokenizers.metaspace().to_str())
    highest = max(spec["model"]["vocab"].values())
    spec["model"]["vocab"]["zzz"] = highest + 3
    starts = word_starts(Tokenizer.from_str(json.dumps(spec)))
    assert starts[highest + 1 :] == (True, True, False)


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(CheckpointError, match="fast tokenizer"):
        TargetDecoder(object())  # type: ignore[arg-type]  # that is the point
