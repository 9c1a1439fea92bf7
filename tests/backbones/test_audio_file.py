"""Recordings on disk: mixed, resampled as a stream is, and refused where they are none."""

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from backbones.audio_file import milliseconds, read, seconds
from backbones.audio_resample import Resampler
from errors import InvalidValueError
from tests.backbones.audio import noise, of_unknown_length


def write(path: Path, samples: torch.Tensor, rate: int = 16_000) -> Path:
    soundfile.write(path, samples.numpy(), rate, subtype="FLOAT")
    return path


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_samples_are_those_of_a_stream(tmp_path: Path, rate: int) -> None:
    samples = noise(rate).clamp(-1, 1)
    path = write(tmp_path / "a.wav", samples, rate)
    stream = Resampler(rate)
    pieces = [stream.push(piece) for piece in samples.split(977)]
    assert torch.equal(read(path), torch.cat([*pieces, stream.end()]))
    assert seconds(path) == 1.0
    assert milliseconds(path) == 1000


def test_milliseconds_are_rounded_up(tmp_path: Path) -> None:
    assert milliseconds(write(tmp_path / "a.wav", noise(16_001))) == 1001


def test_channels_are_mixed_and_what_is_too_loud_is_clipped(tmp_path: Path) -> None:
    assert read(write(tmp_path / "a.wav", torch.tensor([[0.5, -0.5], [3.0, 0.0]]))).tolist() == [0.0, 0.5]


def test_samples_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="expected finite samples"):
        read(write(tmp_path / "a.wav", torch.tensor([0.1, np.nan])))


def test_a_flac_that_was_written_to_a_pipe_has_samples_and_no_length(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(100_000).numpy(), 16_000)
    whole = read(path)
    path.write_bytes(of_unknown_length(path.read_bytes()))
    assert torch.equal(read(path), whole)
    with pytest.raises(InvalidValueError, match="whose header says how long it is"):
        seconds(path)


@pytest.mark.parametrize("ask", [read, seconds])
def test_what_is_no_recording_is_refused(tmp_path: Path, ask: object) -> None:
    assert callable(ask)
    (tmp_path / "text.wav").write_text("RIFF")
    write(tmp_path / "empty.wav", torch.zeros(0))
    for name, expected in {"text": "can be read", "missing": "can be read", "empty": "at least one sample"}.items():
        with pytest.raises(InvalidValueError, match=rf"expected a recording .*{expected}.*{name}\.wav"):
            ask(tmp_path / f"{name}.wav")
