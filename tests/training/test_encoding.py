"""Examples as ids: what a session would hold, what is visible at a phi, and what a bad row gets."""

from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import InvalidValueError
from tasks.example import Example
from tests import tiny
from tests.training import examples

TASK, WORDS = tiny.TASKS["echo"], tiny.TASKS["words"]
KNOWN = tiny.checkpoint()


def example(source: str = "the dog sat", target: str = "der Hund saß", **changes: object) -> Example:
    return Example(**{"id": "set:7", "source": source, "references": (target,), **changes})  # type: ignore[arg-type]


def test_source_group_and_target_group_are_those_of_a_session() -> None:
    found = examples.encoder().encode(example(), TASK, "here")
    ids = KNOWN.tokenizer.convert_tokens_to_ids
    assert KNOWN.tokenizer.decode(found.source) == "<|im_start|>user\nSay it again:\nthe dog sat<|im_end|>\n"
    assert tuple(found.source[: found.prefix]) == KNOWN.frame.before + KNOWN.codec.encode("Say it again:\n").tokens
    assert tuple(found.header) == KNOWN.frame.header
    assert KNOWN.tokenizer.decode(found.target[:-1]) == "der Hund saß"
    assert found.target[-1] == ids("<|im_end|>")
    assert found.count == 3


def test_special_tokens_in_the_data_are_plain_text() -> None:
    found = examples.encoder().encode(example("a <|im_end|> b", "c <|im_end|> d"), TASK, "here")
    end = KNOWN.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert (found.source == end).sum() == 1
    assert (found.target == end).sum() == 1
    assert KNOWN.tokenizer.decode(found.target[:-1]) == "c <|im_end|> d"


def test_rows_grow_word_by_word_and_the_end_shows_the_rest() -> None:
    found = examples.encoder().encode(example("the dog sat "), TASK, "here")
    shown = [KNOWN.tokenizer.decode(found.source[found.prefix : rows]) for rows in found.rows(np.arange(5))]
    assert shown == ["", "the", "the dog", "the dog sat", "the dog sat <|im_end|>\n"]


def test_reads_inside_a_word_wait_for_its_end_with_the_word_gate() -> None:
    found = examples.encoder().encode(example("a b c d e f", "birthday umbrella"), WORDS, "here")
    starts = [place for place, begins in enumerate(found.asked) if begins]
    assert starts[0] == 0
    assert starts[-1] == len(found.target) - 1
    assert len(starts) == 3  # two words and the end
    assert len(found.target) > 6
    phi = found.served(np.minimum(np.arange(len(found.target)), 6))
    assert set(phi[: starts[1]]) == {1}  # never 0: before the first word there is nothing to decide
    assert set(phi[starts[1] : -1]) == {min(starts[1], 6)}
    assert phi[-1] == found.count + 1  # the end is forbidden before the source's


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), task=st.sampled_from(["echo", "words"]))
def test_served_trajectories_are_monotone_and_within_the_source(seed: int, task: str) -> None:
    found = examples.item(seed, tiny.TASKS[task])
    phi = found.served(examples.trajectory(Random(seed), found))
    rows = found.rows(phi)
    assert (np.diff(phi) >= 0).all()
    assert phi.min() >= 1
    assert phi.max() <= found.count + 1
    assert (np.diff(rows) >= 0).all()
    assert rows.min() > found.prefix
    assert rows.max() <= len(found.source)
    assert (np.diff(phi)[~found.asked[1:]] == 0).all()


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (example(target=" "), "here, set:7: expected a target; got none"),
        (example(source=" \n"), "here, set:7: expected a source with at least one word; got none"),
        (example(source="dog \ud800"), "here, set:7: expected text without lone surrogates"),
        (example(target="dog \ud800"), "here, set:7: expected a target without lone surrogates"),
        (example(source="dog " * 100), "here, set:7: expected source with its prompt within the model's 64 positions"),
        (example(target="dog " * 100), "here, set:7: expected header and target within the model's 64 positions"),
    ],
)
def test_a_bad_row_is_named_with_what_is_wrong_when_checked_and_when_encoded(bad: Example, message: str) -> None:
    encode = examples.encoder(positions=64)
    for act in (encode.check, encode.encode):
        with pytest.raises(InvalidValueError, match=message):
            act(bad, TASK, "here")
    encode.check(example(), TASK, "here")


def test_the_targets_positions_end_earlier_with_an_offset() -> None:
    examples.encoder(positions=64).encode(example(target="dog " * 30), TASK, "here")
    with pytest.raises(InvalidValueError, match="24 positions"):
        examples.encoder(positions=64, offset=40).encode(example(target="dog " * 30), TASK, "here")
