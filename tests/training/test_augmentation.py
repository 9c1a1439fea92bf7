"""Changes: repeated by their seed, as large as was asked for, and none where none was."""

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from backbones.audio_mel import log_mel
from tests.training import heard
from training.augmentation import Augmentation, augmented, changed, warped


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


def test_what_is_narrow_has_nothing_above_4_khz_and_the_rest_is_as_it_was() -> None:
    plain = heard.noise(16000)
    made = augmented(plain, Augmentation(narrow=1.0), np.random.default_rng(0))
    assert len(made) == len(plain)
    assert high(made) < 1e-4 * high(plain)
    assert np.array_equal(augmented(plain, Augmentation(), np.random.default_rng(0)), plain)


def test_so_many_are_narrow_as_were_asked_for() -> None:
    plain, settings, rng = heard.noise(16000), Augmentation(narrow=0.3), np.random.default_rng(0)
    found = [high(augmented(plain, settings, rng)) < 1e-4 * high(plain) for _ in range(200)]
    assert 0.2 < np.mean(found) < 0.4


def high(samples: np.ndarray) -> float:
    """Power above 4.2 kHz: where a filter ends, it is not cut with a knife."""
    spectrum = np.abs(np.fft.rfft(samples)) ** 2
    return float(spectrum[int(len(spectrum) * 4.2 / 8) :].sum())


@pytest.mark.parametrize("pair", [(1.2, 0.8), (0.0, 1.0)])
def test_bad_ranges_are_refused(pair: tuple[float, float]) -> None:
    with pytest.raises(ValidationError, match="speed"):
        Augmentation(speed=pair)


def bump(hertz: float) -> int:
    """The mel bin that is loudest for a tone."""
    at = np.arange(8000) / heard.RATE
    mel = log_mel(torch.from_numpy((0.3 * np.sin(2 * np.pi * hertz * at)).astype(np.float32)), 80, 0.0)
    return int(mel[10:40].mean(dim=0).argmax())


@pytest.mark.parametrize("factor", [0.85, 1.2])
@pytest.mark.parametrize("hertz", [400.0, 1500.0, 3000.0])
def test_a_warped_tone_is_where_the_tone_of_that_frequency_is(hertz: float, factor: float) -> None:
    mel = np.zeros((3, 80), np.float32)
    mel[:, bump(hertz)] = 1.0
    assert abs(int(warped(mel, factor)[0].argmax()) - bump(factor * hertz)) <= 1


def test_a_warp_of_one_changes_nothing() -> None:
    mel = heard.noise(800).reshape(10, 80)
    np.testing.assert_allclose(warped(mel, 1.0), mel, atol=1e-6)
    assert changed(mel, Augmentation(), np.random.default_rng(0)) is mel


def test_what_is_masked_is_silent_and_no_more_than_was_asked_for() -> None:
    mel = np.abs(heard.noise(100 * 80).reshape(100, 80)) + 1
    most = 0
    for seed in range(20):
        made = changed(mel, Augmentation(masked_bins=10, masked_frames=7), np.random.default_rng(seed))
        assert np.array_equal(made, changed(mel, Augmentation(masked_bins=10, masked_frames=7), np.random.default_rng(seed)))
        bins, frames = (made == 0).all(axis=0), (made == 0).all(axis=1)
        assert bins.sum() <= 20
        assert frames.sum() <= 14
        kept = made[~frames][:, ~bins]
        assert np.array_equal(kept, mel[~frames][:, ~bins])
        most = max(most, int(bins.sum()))
    assert most > 10
    assert mel.min() >= 1  # what it was made of stays
