"""Recordings: the frames that a session would have, changes that a seed repeats, and files that are none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from backbones.audio_input import AudioInput
from backbones.audio_mel import MelFrames
from backbones.audio_pcm import AudioFormat
from tests import tiny
from tests.backbones.audio import encoder
from tests.training import heard
from training.sounds import Augmentation, augmented, token_count


@pytest.mark.parametrize(("rate", "kind"), [(16_000, "wav"), (8_000, "wav"), (44_100, "flac")])
def test_frames_are_those_of_a_session_over_the_same_samples(tmp_path: Path, rate: int, kind: str) -> None:
    path = heard.write(tmp_path / f"a.{kind}", heard.noise(rate), rate)
    session = AudioInput(AudioFormat("pcm16", rate), bins=80, floor=0.0)
    pcm = tiny.pcm16(torch.from_numpy(heard.noise(rate)) * 32_768 / 32_767)
    served = [session.push(pcm[start : start + 1001 * 2]).values for start in range(0, len(pcm), 1001 * 2)]
    found = heard.sounds().hear(path, None)
    # A sample is rounded one way here and another there.
    torch.testing.assert_close(torch.from_numpy(found.mel), torch.cat([*served, session.end().values]), atol=0.02, rtol=0)


@settings(max_examples=30, deadline=None)
@given(frames=st.integers(1, 260))
def test_tokens_are_counted_as_the_encoder_makes_them(frames: int) -> None:
    made = encoder(tiny.ENCODER).whole([MelFrames(torch.zeros(frames, 80), range(frames))])[0]
    assert token_count(frames, tiny.ENCODER.pool) == len(made.embeddings)


def test_a_unit_is_what_comes_between_two_decision_points(tmp_path: Path) -> None:
    found = heard.sounds(every=10).hear(heard.write(tmp_path / "a.wav", heard.noise(16_000)), None)  # 25 tokens
    assert found.units.tolist() == [0] * 10 + [1] * 10 + [2] * 5
    assert found.count == 2
    assert heard.sounds(every=5).hear(tmp_path / "a.wav", None).count == 5


def test_changes_are_repeated_by_their_seed_and_only_then() -> None:
    settings = Augmentation(speed=(0.8, 1.2), gain=(-6, 6), noise=(5, 20), noisy=1.0)
    first, again, other = (augmented(heard.noise(8000), settings, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert len(first) != len(other)
    assert 8000 / 1.21 < len(first) < 8000 / 0.79


def test_noise_is_as_loud_as_was_asked_for() -> None:
    plain = heard.tone("low", 1.0)
    changed = augmented(plain, Augmentation(noise=(10, 10), noisy=1.0), np.random.default_rng(0))
    assert 10 * np.log10(np.mean(plain**2) / np.mean((changed - plain) ** 2)) == pytest.approx(10, abs=0.1)


def test_the_slowest_that_a_header_promises_is_no_shorter_than_what_is_heard(tmp_path: Path) -> None:
    path = heard.write(tmp_path / "a.wav", heard.noise(11_111), 11_025)
    slow = heard.sounds(speed=(0.8, 0.8))
    assert slow.at_most(path) - 1 <= len(slow.hear(path, np.random.default_rng(0)).units) <= slow.at_most(path)


@pytest.mark.parametrize("pair", [(1.2, 0.8), (0.0, 1.0)])
def test_bad_ranges_are_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="speed"):
        Augmentation(speed=pair)
