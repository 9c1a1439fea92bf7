"""Resampling a stream: soxr's own one-shot result, and an honest account of what each sample has waited for."""

from itertools import pairwise

import pytest
import soxr
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.audio_resample import Resampler
from tests.backbones.audio import cuts, noise

RATES = [8_000, 11_025, 22_050, 44_100, 48_000]


@pytest.mark.parametrize("rate", RATES)
@settings(max_examples=20, deadline=None)
@given(at=cuts(9_999))
def test_any_chunking_gives_the_one_shot_samples(rate: int, at: list[int]) -> None:
    samples = noise(9_999)
    resampler = Resampler(rate)
    found = [resampler.push(samples[start:end]) for start, end in pairwise(at)]
    whole = torch.from_numpy(soxr.resample(samples.numpy(), rate, 16_000))
    torch.testing.assert_close(torch.cat([*found, resampler.end()]), whole, atol=1e-6, rtol=0)


def test_16_khz_passes_through_at_once() -> None:
    resampler, samples = Resampler(16_000), noise(100)
    assert torch.equal(resampler.push(samples), samples)
    assert resampler.end().shape == (0,)
    assert [resampler.waited_for(sample) for sample in (0, 41, 99, 150)] == [1, 42, 100, 100]


@pytest.mark.parametrize("rate", RATES)
@settings(max_examples=20, deadline=None)
@given(at=cuts(9_999), asked=st.integers(0, 1_500))
def test_what_a_sample_waited_for_does_not_depend_on_the_chunks(rate: int, at: list[int], asked: int) -> None:
    samples = noise(9_999)
    cut, at_once = Resampler(rate), Resampler(rate)
    came = 0
    for start, end in pairwise(at):
        came += cut.push(samples[start:end]).shape[0]
    at_once.push(samples)
    if asked < came:
        assert cut.waited_for(asked) == at_once.waited_for(asked) <= 9_999


@pytest.mark.parametrize("rate", RATES)
def test_a_sample_depends_on_nothing_behind_what_it_waited_for(rate: int) -> None:
    samples = noise(rate)
    resampler = Resampler(rate)
    made = resampler.push(samples)
    sample = made.shape[0] // 2
    waited = resampler.waited_for(sample)
    changed = samples.clone()
    changed[waited:] = 0.7
    torch.testing.assert_close(Resampler(rate).push(changed)[: sample + 1], made[: sample + 1], atol=0, rtol=0)
    assert waited / rate >= sample / 16_000
    assert waited / rate - sample / 16_000 < 0.14  # what the filter holds back, and a block
