"""Streaming log-mel: one-shot however it is cut, Whisper's spectrum, and nothing that looks ahead."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperFeatureExtractor

from backbones.audio_mel import LogSpectrum, RunningMaximum, StreamingMel, log_mel
from tests.backbones.audio import cuts, noise


@pytest.mark.parametrize("bins", [80, 128])
@settings(max_examples=40, deadline=None)
@given(at=cuts(7_777, most=20))
def test_any_chunking_gives_the_one_shot_frames(bins: int, at: list[int]) -> None:
    samples = noise(7_777)
    mel = StreamingMel(bins, 0.0)
    found = [mel.push(samples[start:end]) for start, end in pairwise(at)]
    torch.testing.assert_close(torch.cat([*found, mel.end()]), log_mel(samples, bins, 0.0), atol=1e-6, rtol=0)


@pytest.mark.parametrize("bins", [80, 128])
def test_the_spectrum_is_whispers(bins: int) -> None:
    samples = noise(48_000) + 0.01 * torch.randn(48_000)
    spectrum = LogSpectrum(bins)
    ours = torch.cat((spectrum.push(samples), spectrum.end()))
    whispers = WhisperFeatureExtractor(feature_size=bins)(samples.numpy(), sampling_rate=16_000)["input_features"][0]
    theirs = torch.from_numpy(whispers).T[: ours.shape[0]].float() * 4.0 - 4.0
    assert ours.shape[0] == 300
    assert ours.min() > theirs.max() - 8.0  # so its normalisation raised nothing, and could be undone
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@settings(max_examples=20, deadline=None)
@given(frame=st.integers(0, 40))
def test_a_frame_comes_with_the_last_sample_it_needs(frame: int) -> None:
    mel = StreamingMel(80, 0.0)
    samples = noise(160 * frame + 200)
    assert mel.push(samples[:-1]).shape[0] == frame
    assert mel.push(samples[-1:]).shape[0] == 1
    assert mel.frames == frame + 1


@pytest.mark.parametrize(("samples", "frames"), [(0, 0), (1, 1), (160, 1), (161, 2), (199, 2), (200, 2), (1600, 10), (1601, 11)])
def test_the_end_gives_one_frame_for_every_160_samples_begun(samples: int, frames: int) -> None:
    whole = log_mel(noise(samples), 80, 0.0)
    assert whole.shape == (frames, 80)
    padded = log_mel(torch.cat((noise(samples), torch.zeros(1000))), 80, 0.0)
    torch.testing.assert_close(whole, padded[:frames], atol=1e-6, rtol=0)


def test_the_maximum_is_that_of_the_frames_so_far_and_never_under_the_floor() -> None:
    spectrum = torch.tensor([[-9.0, -3.0], [2.0, -9.0], [-20.0, 1.0]])
    found = RunningMaximum(0.0).normalise(spectrum)
    raised = torch.tensor([[-8.0, -3.0], [2.0, -6.0], [-6.0, 1.0]])  # by 0 (the floor), then by 2
    torch.testing.assert_close(found, (raised + 4.0) / 4.0)


def test_a_loud_sound_changes_no_frame_before_it() -> None:
    samples = noise(16_000)
    louder = samples.clone()
    louder[8_000:] *= 30.0
    first = (8_000 - 200) // 160 + 1  # the first frame that ends behind sample 8,000
    found, changed = log_mel(samples, 80, 0.0), log_mel(louder, 80, 0.0)
    torch.testing.assert_close(changed[:first], found[:first], atol=0, rtol=0)
    assert not torch.allclose(changed[first:], found[first:])
