"""From bytes to frames: any cut of the bytes is the same stream, and no frame has seen more than it says."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings

from backbones.audio_encoder import Piece
from backbones.audio_input import AudioInput, milliseconds
from backbones.audio_mel import MelFrames, log_mel
from backbones.audio_pcm import AudioFormat
from errors import InvalidValueError
from tests.backbones.audio import CONFIG, cuts, encoder, noise

SAMPLES = 12_345


def heard(data: bytes, form: AudioFormat, at: list[int]) -> MelFrames:
    audio = AudioInput(form, bins=80, floor=0.0)
    found = [audio.push(data[start * form.frame_bytes : end * form.frame_bytes]) for start, end in pairwise(at)]
    found.append(audio.end())
    return MelFrames(torch.cat([one.values for one in found]), [count for one in found for count in one.seen])


def pcm16(samples: torch.Tensor) -> bytes:
    return (samples * 32_767).to(torch.int16).numpy().tobytes()


@pytest.mark.parametrize("form", [AudioFormat("pcm16", 16_000), AudioFormat("pcm16", 44_100)])
@settings(max_examples=25, deadline=None)
@given(at=cuts(SAMPLES))
def test_any_cut_gives_the_same_frames_that_have_seen_the_same(form: AudioFormat, at: list[int]) -> None:
    data = pcm16(noise(SAMPLES))
    whole, cut = heard(data, form, [0, SAMPLES]), heard(data, form, at)
    torch.testing.assert_close(cut.values, whole.values, atol=1e-5, rtol=0)
    assert list(cut.seen) == list(whole.seen)
    assert cut.seen[-1] == SAMPLES


def test_at_16_khz_frames_are_the_log_mel_and_have_seen_what_their_window_covers() -> None:
    data = noise(3_210).numpy().tobytes()
    found = heard(data, AudioFormat("float32", 16_000), [0, 3_210])
    torch.testing.assert_close(found.values, log_mel(noise(3_210), 80, 0.0), atol=0, rtol=0)
    assert list(found.seen) == [*range(200, 3_210, 160), 3_210, 3_210]


def test_a_refused_piece_leaves_the_stream_as_it_was() -> None:
    audio = AudioInput(AudioFormat("pcm16", 16_000), bins=80, floor=0.0)
    audio.push(bytes(640))
    with pytest.raises(InvalidValueError, match="multiple of 2 bytes"):
        audio.push(bytes(641))
    assert audio.consumed == 320
    assert audio.end().values.shape == (1, 80)


@pytest.mark.parametrize("rate", [8_000, 16_000, 48_000])
def test_what_comes_after_a_tokens_phi_changes_neither_it_nor_any_token_before(rate: int) -> None:
    model, form = encoder(), AudioFormat("float32", rate)
    samples = noise(2 * rate)  # two seconds: windows restart too

    def tokens(samples: torch.Tensor) -> tuple[torch.Tensor, list[int]]:
        mel = heard(samples.numpy().tobytes(), form, [0, len(samples)])
        found = model.encode([Piece(model.open(), mel, last=True)])[0]
        return found.embeddings, found.seen

    before, seen = tokens(samples)
    assert len(seen) == 50
    for number in (0, 7, 23, 46):
        changed = samples.clone()
        changed[seen[number] :] = noise(len(samples), seed=5)[seen[number] :] * 9.0
        after, _ = tokens(changed)
        torch.testing.assert_close(after[: number + 1], before[: number + 1], atol=1e-6, rtol=0)
        assert not torch.allclose(after[number + 1 :], before[number + 1 :], atol=1e-3)


def test_milliseconds_are_rounded_up() -> None:
    assert [milliseconds(count, 16_000) for count in (0, 1, 16, 17, 840)] == [0, 1, 1, 2, 53]
    assert milliseconds(441, 44_100) == 10


def test_the_tokens_of_a_config_are_fed_by_its_own_mel() -> None:
    assert AudioInput(AudioFormat("pcm16", 16_000), bins=CONFIG.bins, floor=CONFIG.mel_floor).end().values.shape == (0, 80)
