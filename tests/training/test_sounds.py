"""Recordings: the frames that a session would have, changes that a seed repeats, and files that are none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.audio_input import AudioInput
from backbones.audio_mel import MelFrames
from backbones.audio_pcm import AudioFormat
from tests import tiny
from tests.backbones.audio import encoder
from tests.training import heard
from training.sounds import token_count


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


def test_the_slowest_that_a_header_promises_is_no_shorter_than_what_is_heard(tmp_path: Path) -> None:
    path = heard.write(tmp_path / "a.wav", heard.noise(11_111), 11_025)
    slow = heard.sounds(speed=(0.8, 0.8))
    assert slow.at_most(path) - 1 <= len(slow.hear(path, np.random.default_rng(0)).units) <= slow.at_most(path)
