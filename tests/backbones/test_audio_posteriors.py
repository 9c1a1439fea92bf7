"""Mixtures of the backbone's embeddings: by hand, and the same however a stream is cut."""

import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.audio_posteriors import Vocabulary
from tests.backbones.audio import CONFIG, cuts, encoder, frames, stream

WIDTH = CONFIG.out


def test_a_mixture_by_hand() -> None:
    """Brought to a root mean square of 1, [3, 4] is [6, 8] / sqrt(50); its scores are ln 3 apart."""
    head = torch.tensor([[math.sqrt(50) / 6, 0.0], [0.0, (1 - math.log(3)) * math.sqrt(50) / 8]])
    vocabulary = Vocabulary(head, torch.tensor([[1.0, 0.0, 4.0], [0.0, 1.0, 8.0]]))
    scores = vocabulary.scores(torch.tensor([[3.0, 4.0], [30.0, 40.0]]))
    torch.testing.assert_close(scores, torch.tensor([[1.0, 1 - math.log(3)]]).expand(2, 2))
    torch.testing.assert_close(vocabulary.mixed(scores), torch.tensor([[0.75, 0.25, 5.0]]).expand(2, 3))


def test_where_one_token_is_certain_it_is_its_embedding() -> None:
    rows = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Vocabulary(40 * rows, rows).mixed(40 * rows @ rows.T), rows)


def test_blanks_and_repeats_are_left_out() -> None:
    vocabulary = Vocabulary(torch.eye(4), torch.eye(4), blank=3)
    scores = torch.eye(4)[[0, 0, 3, 0, 1, 2, 2, 3, 3]]
    kept, last = vocabulary.kept(scores)
    assert (kept.tolist(), last) == ([True, False, False, True, True, True, False, False, False], 3)
    assert vocabulary.kept(scores[:2], before=0)[0].tolist() == [False, False]
    assert vocabulary.kept(scores[:0], before=2)[1] == 2
    assert Vocabulary(torch.eye(4), torch.eye(4)).kept(scores)[0].all()


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_chunking_leaves_out_the_same(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 200))
    model, mel = encoder(), frames(count)
    rows = torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(0))
    model.vocabulary = Vocabulary(rows, rows)
    everything = model.whole([mel])[0]
    model.vocabulary = Vocabulary(rows, rows, blank=9)
    whole, cut = model.whole([mel])[0], stream(model, mel, data.draw(cuts(count)))
    assert (cut.kept, cut.seen) == (whole.kept, whole.seen) == (whole.kept, everything.seen)
    torch.testing.assert_close(cut.embeddings, whole.embeddings, atol=1e-5, rtol=0)
    torch.testing.assert_close(whole.embeddings, everything.embeddings[torch.tensor(whole.kept)])


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_chunking_gives_the_one_shot_mixtures(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 200))
    model, mel = encoder(), frames(count)
    plain = model.whole([mel])[0].embeddings
    rows = torch.randn(50, WIDTH, generator=torch.Generator().manual_seed(0))
    model.vocabulary = Vocabulary(rows, rows)
    whole = model.whole([mel])[0].embeddings
    torch.testing.assert_close(stream(model, mel, data.draw(cuts(count))).embeddings, whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(whole, model.vocabulary.mixed(model.vocabulary.scores(plain)))
    assert (whole - plain).abs().max() > 0.1
