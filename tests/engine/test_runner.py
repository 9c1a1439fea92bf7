"""Signals, entropy and sampling, apart from any session."""

from math import log
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.actions import Append
from engine.request import Request, Sampling
from engine.runner import Probe, entropy, remember, sample, signals
from tests import tiny

LOGITS = torch.tensor([2.0, 1.0, 0.5, 0.0, -3.0])


def test_entropy_in_nats_of_known_distributions() -> None:
    sure, even = torch.tensor([50.0, 0.0, 0.0, 0.0]), torch.zeros(4)
    masked = torch.tensor([0.0, 0.0, float("-inf"), float("-inf")])
    assert entropy(torch.stack([sure, even, masked])).tolist() == pytest.approx([0.0, log(4), log(2)], abs=1e-5)


def test_entropy_is_taken_in_float32() -> None:
    logits = torch.randn(2, 1000, generator=torch.Generator().manual_seed(0))
    assert entropy(logits.bfloat16()).dtype is torch.float32


@given(seed=st.integers(0, 2**63 - 1), index=st.integers(0, 1000))
def test_a_sample_depends_on_seed_and_index_only(seed: int, index: int) -> None:
    sampling = Sampling(temperature=0.7, seed=seed)
    assert sample(LOGITS, sampling, index) == sample(LOGITS, sampling, index)


def test_samples_follow_the_distribution() -> None:
    counts = torch.zeros(5)
    for index in range(4000):
        counts[sample(LOGITS, Sampling(temperature=1.0, seed=3), index)] += 1
    assert (counts / 4000 - LOGITS.softmax(0)).abs().max() < 0.03


def test_a_low_temperature_is_greedy_and_top_p_cuts_the_tail() -> None:
    cold = {sample(LOGITS, Sampling(temperature=0.01, seed=1), i) for i in range(200)}
    cut = {sample(LOGITS, Sampling(temperature=1.0, top_p=0.6, seed=1), i) for i in range(500)}
    tiny_cut = {sample(LOGITS, Sampling(temperature=1.0, top_p=1e-6, seed=1), i) for i in range(200)}
    assert (cold, cut, tiny_cut) == ({0}, {0, 1}, {0})


@pytest.mark.parametrize("sampling", [Sampling(1.0, 1e-46), Sampling(1e-38), Sampling(1e-46), Sampling(1e-300)])
def test_the_tiniest_top_p_and_temperature_are_greedy(sampling: Sampling) -> None:
    assert {sample(torch.tensor([5.0, 1.0, 0.0, -3.0]), sampling, i) for i in range(50)} == {0}


def test_two_seeds_differ() -> None:
    drawn = [[sample(LOGITS, Sampling(temperature=1.0, seed=seed), i) for i in range(50)] for seed in (1, 2)]
    assert drawn[0] != drawn[1]


def test_a_barred_end_is_never_drawn() -> None:
    logits = LOGITS.clone()
    logits[0] = float("-inf")
    assert 0 not in {sample(logits, Sampling(temperature=5.0, seed=4), i) for i in range(300)}


def probe_of(text: str, attention: list[float], **request: Any) -> Probe:
    engine = tiny.engine(slots=1)
    session = engine.open(Request("echo", head="attention", threshold=9.0, **request))
    session.send(Append(text))
    while engine.busy:
        engine.step()
    return Probe(session, token=5, entropy=None, attention=torch.tensor(attention))


def test_signals_are_padded_to_the_widest_probe() -> None:
    short, long = probe_of("a ", [0.5]), probe_of("a b c ", [0.1, 0.2, 0.3])
    found = signals([short, long], vocab_size=900)
    assert found.phi.tolist() == [1, 3]
    assert found.attention is not None
    assert found.attention.tolist() == [[0.5, 0.0, 0.0], pytest.approx([0.1, 0.2, 0.3])]
    assert found.log_vocab == pytest.approx(log(900))
    assert found.entropy is None  # no head asked
    assert found.history is None


def test_history_sums_written_tokens_attention_for_heads_that_ask() -> None:
    asking = probe_of("a b ", [0.5, 0.25], head_params={"accumulate": True})
    remember(asking)
    asking.attention = torch.tensor([0.1, 0.1, 0.3])
    remember(asking)
    assert asking.session.history.tolist() == pytest.approx([0.6, 0.35, 0.3])
    silent = probe_of("a b ", [0.5, 0.25])
    remember(silent)
    assert silent.session.history.numel() == 0


def test_words_written_are_those_begun_before_the_candidates_own() -> None:
    made = probe_of("a b ", [0.5, 0.25])
    control = made.session.controller
    control.trajectory, control.words = [1, 1, 2], 2
    asked = SimpleNamespace(begins_word=True, ends=False)
    assert made.session.words_before(asked) == 2  # type: ignore[arg-type]  # as a candidate
    asked.begins_word = False
    assert made.session.words_before(asked) == 1  # type: ignore[arg-type]  # as a candidate
