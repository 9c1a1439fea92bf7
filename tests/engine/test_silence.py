"""The gate: steady sound of any loudness keeps it closed, sound that comes and goes opens it, in any pieces."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings

from backbones.audio_mel import RATE, log_mel
from engine.silence import SilenceGate
from tests.backbones.audio import cuts, noise

TOKENS = 50  # 2 s


def steady(seconds: float, loudness: float) -> torch.Tensor:
    return torch.randn(int(seconds * RATE), generator=torch.Generator().manual_seed(1)) * loudness


def opens(samples: torch.Tensor, at: list[int] | None = None, bins: int = 80) -> list[bool]:
    """Of each decision's 10 audio tokens."""
    values = log_mel(samples.clamp(-1, 1), bins, 0.0)
    gate = SilenceGate(frames=4)
    for start, end in pairwise(at or [0, len(values)]):
        gate.hear(values[start:end])
    return [gate.is_open(tokens) for tokens in range(10, len(values) // 4 + 1, 10)]


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("loudness", [0.0, 1e-4, 1e-2, 0.3])
def test_a_minute_of_steady_sound_keeps_it_closed(loudness: float, bins: int) -> None:
    assert not any(opens(steady(60, loudness), bins=bins))


def test_a_tone_keeps_it_closed() -> None:
    assert not any(opens(0.3 * torch.sin(torch.arange(10 * RATE) * 2 * torch.pi * 440 / RATE))[1:])


@pytest.mark.parametrize("gain", [0.05, 1.0])
@pytest.mark.parametrize("before", [0.0, 3.0])
def test_sound_that_comes_and_goes_opens_it_whatever_its_loudness(before: float, gain: float) -> None:
    """Syllables of 200 ms and gaps of 120, in some noise, with and without a quiet lead-in."""
    syllable = torch.cat((steady(0.2, 0.2), steady(0.12, 0.004)))
    found = opens(gain * torch.cat((steady(before, 0.004), syllable.repeat(6))))
    lead = int(before / 0.4)
    assert not any(found[:lead])
    assert all(found[lead + 1 :])


def test_a_quiet_telephone_opens_it() -> None:
    """Nothing above 3.4 kHz, which half of the mel bins are for: their mean is low, and was taken for silence."""
    syllables = torch.cat((steady(0.2, 0.2), steady(0.12, 0.004))).repeat(6)
    spectrum = torch.fft.rfft(syllables)
    spectrum[3400 * len(syllables) // RATE :] = 0
    assert all(opens(0.02 * torch.fft.irfft(spectrum, n=len(syllables)))[1:])


def test_it_closes_two_seconds_behind_the_last_sound() -> None:
    found = opens(torch.cat((steady(1, 0.002), steady(1, 0.2), steady(6, 0.002))))
    assert [index for index, is_open in enumerate(found) if is_open] == list(range(2, 10))  # 1.2 s to 2 + 2 s


def test_a_click_is_no_speech() -> None:
    samples = steady(4, 0.002)
    samples[2 * RATE : 2 * RATE + 80] = 0.9
    assert not any(opens(samples))


@settings(max_examples=20, deadline=None)
@given(at=cuts(400))
def test_pieces_do_not_matter(at: list[int]) -> None:
    samples = noise(160 * 400, seed=4)
    assert opens(samples, at) == opens(samples)


@pytest.mark.parametrize(("seconds", "loudness", "spoken"), [(0.4, 0.1, True), (0.4, 0.001, False), (1.2, 0.1, False)])
def test_a_short_recording_without_a_quiet_moment_may_be_speech(seconds: float, loudness: float, spoken: bool) -> None:
    gate, values = SilenceGate(frames=4), log_mel(steady(seconds, loudness), 80, 0.0)
    gate.hear(values)
    assert not gate.is_open(len(values) // 4)
    assert gate.spoke(0, 10_000) is spoken
