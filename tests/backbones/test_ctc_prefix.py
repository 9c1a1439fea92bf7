"""CTC's prefix scores: by enumeration of every alignment, by training's own loss, and the same however a stream is cut."""

import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.audio_posteriors import Vocabulary
from backbones.ctc_prefix import LEAST, CtcPrefix
from training.losses.ctc import ctc

BLANK, WIDTH = 3, 6
HEAD = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(0))
WORDS = Vocabulary(HEAD, HEAD, BLANK)
PLACES = st.lists(st.integers(0, 40), min_size=1, max_size=5)
TOKENS = st.lists(st.integers(0, 2), max_size=3)


def sounds(seeds: list[int]) -> torch.Tensor:
    return torch.stack([torch.randn(WIDTH, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def collapsed(path: tuple[int, ...]) -> list[int]:
    return [token for place, token in enumerate(path) if token != BLANK and (not place or path[place - 1] != token)]


def enumerated(heard: torch.Tensor, written: list[int]) -> tuple[list[float], float]:
    """P(what was heard begins with what was written and this token), of each, and P(it is what was written): over all alignments."""
    p = WORDS.scores(heard).softmax(-1)
    begins, complete = [0.0, 0.0, 0.0], 0.0
    for path in product(range(4), repeat=len(heard)):
        said, share = collapsed(path), math.prod(float(p[place, token]) for place, token in enumerate(path))
        complete += share * (said == written)
        if len(said) > len(written) and said[: len(written)] == written:
            begins[said[len(written)]] += share
    return begins, complete


@settings(max_examples=60, deadline=None)
@given(places=PLACES, written=TOKENS, data=st.data())
def test_every_alignment_is_counted_however_sound_and_text_take_turns(places: list[int], written: list[int], data: st.DataObject) -> None:
    prefix, heard, left = CtcPrefix(WORDS), sounds(places), list(written)
    at = 0
    while left or at < len(heard):
        if left and (at == len(heard) or data.draw(st.booleans())):
            prefix.write(left.pop(0))
        else:
            count = data.draw(st.integers(1, len(heard) - at))
            prefix.hear(heard[at : at + count])
            at += count
    begins, complete = prefix.next([0, 1, 2])
    expected, all_of_it = enumerated(heard, written)
    torch.testing.assert_close(begins.exp(), torch.tensor(expected, dtype=torch.float64), atol=1e-6, rtol=1e-5)
    assert math.exp(float(complete)) == pytest.approx(all_of_it, abs=1e-6)


def test_what_is_complete_is_trainings_loss() -> None:
    heard, written = sounds([5, 6, 7, 8, 9, 10]), [1, 1, 0]
    prefix = CtcPrefix(WORDS)
    prefix.hear(heard)
    for token in written:
        prefix.write(token)
    loss = ctc(WORDS.scores(heard), [len(heard)], torch.tensor([*written, BLANK]), [len(written) + 1])
    assert float(prefix.next([0])[1]) == pytest.approx(-float(loss), abs=1e-5)


def test_a_restart_forgets() -> None:
    prefix, new = CtcPrefix(WORDS), CtcPrefix(WORDS)
    prefix.hear(sounds([1, 2, 3]))
    prefix.write(1)
    prefix.restart()
    for one in (prefix, new):
        one.hear(sounds([4, 5]))
    assert prefix.next([0, 1])[0].tolist() == new.next([0, 1])[0].tolist()


def spoken(*tokens: int) -> CtcPrefix:
    """What was heard is beyond doubt."""
    prefix = CtcPrefix(Vocabulary(100 * torch.eye(4), torch.eye(4), BLANK))
    prefix.hear(torch.eye(4)[list(tokens)])
    return prefix


END = frozenset({BLANK})


def test_what_is_weighed_behind_the_end_by_hand() -> None:
    """CTC hears token 1 and then 2; the backbone has 0.5, 0.25, 0.125 and 0.125 for the end."""
    prefix, logits = spoken(1, BLANK, 2), torch.tensor([0.5, 0.25, 0.125, 0.125]).log()
    half = 0.5 * logits + 0.5 * torch.tensor([LEAST, 0.0, LEAST, LEAST])
    torch.testing.assert_close(prefix.weigh(logits, 0.5, END, ended=True), half)
    prefix.write(1)
    assert int(prefix.weigh(logits, 0.5, END, ended=True).argmax()) == 2
    prefix.write(2)
    assert int(prefix.weigh(logits, 0.5, END, ended=True).argmax()) == BLANK, "that is all"
    assert int(prefix.weigh(logits, 0.001, END, ended=True).argmax()) == 0, "a backbone that hardly listens"


def alike(*shares: float, places: int) -> CtcPrefix:
    """The four tokens have these shares at every place."""
    rows = torch.tensor([[math.log(share) if share else -90.0, 0.0] for share in shares])
    prefix = CtcPrefix(Vocabulary(rows, rows, BLANK))
    prefix.hear(torch.ones(places, 2))
    return prefix


@pytest.mark.parametrize("own", [0.0, -1e3])
def test_before_the_end_ctc_alone_says_whether_there_is_more(own: float) -> None:
    """Two places, each half token 1, half the blank; said twice, it would have a blank between. Whatever the backbone says of the end."""
    prefix, logits = alike(0, 0.5, 0, 0.5, places=2), torch.tensor([0.0, 0.0, 0.0, own])
    expected = torch.tensor([0.0, 0.75, 0.0, 0.25])  # nothing was said if both are blanks
    torch.testing.assert_close(prefix.weigh(logits, 0.3, END, ended=False).softmax(-1), expected, atol=1e-6, rtol=0)
    prefix.write(1)
    expected = torch.tensor([0.0, 0.0, 0.0, 1.0])
    torch.testing.assert_close(prefix.weigh(logits, 0.3, END, ended=False).softmax(-1), expected, atol=1e-6, rtol=0)


def test_among_what_is_to_be_written_the_backbone_has_its_share() -> None:
    """Tokens 0 and 1 sound alike, and it finds one of them four times as probable: with half of the weight, twice."""
    p = alike(0.5, 0.5, 0, 0, places=1).weigh(torch.tensor([4.0, 1.0, 1.0, 9.0]).log(), 0.5, END, ended=False).softmax(-1)
    torch.testing.assert_close(p, torch.tensor([2 / 3, 1 / 3, 0.0, 0.0]), atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_before_the_first_sound_there_is_nothing_to_write(dtype: torch.dtype) -> None:
    prefix = CtcPrefix(Vocabulary(HEAD.to(dtype), HEAD.to(dtype), BLANK))
    for ended in (False, True):
        assert int(prefix.weigh(torch.zeros(4), 0.3, END, ended=ended).argmax()) == BLANK
    prefix.hear(sounds([1, 2]).to(dtype))
    prefix.write(0)
    assert prefix.weigh(torch.zeros(4), 0.3, END, ended=False).isfinite().all()


def test_where_no_alignment_is_left_the_backbone_has_the_word() -> None:
    prefix, logits = spoken(1), torch.tensor([0.0, 1.0, 2.0, 3.0])
    for token in (1, 2, 0):
        prefix.write(token)
    torch.testing.assert_close(prefix.weigh(logits, 0.5, END, ended=True), logits)


def test_sound_that_is_no_number_gives_no_number() -> None:
    prefix = CtcPrefix(WORDS)
    prefix.hear(torch.full((2, WIDTH), torch.nan))
    assert prefix.weigh(torch.zeros(4), 0.3, END, ended=False).isnan().any()


def test_no_token_beyond_the_candidates() -> None:
    rows = torch.eye(40)
    prefix = CtcPrefix(Vocabulary(rows, rows, BLANK))
    prefix.hear(rows[:2])
    weighed = prefix.weigh(torch.arange(40.0), 0.3, END, ended=True)
    assert weighed.isfinite().tolist() == [token >= 8 or token == BLANK for token in range(40)]
