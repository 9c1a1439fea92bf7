"""PCM bytes: the samples they are, and a clear refusal where they are none."""

import struct

import pytest
import torch

from backbones.audio_pcm import AudioFormat, decode
from errors import InvalidValueError


def test_pcm16_spans_minus_one_to_one() -> None:
    data = struct.pack("<4h", -32_768, -1, 0, 32_767)
    assert decode(data, AudioFormat("pcm16", 16_000)).tolist() == [-1.0, -1 / 32_768, 0.0, 32_767 / 32_768]


def test_float32_is_clipped() -> None:
    data = struct.pack("<3f", 0.25, -1.5, 1e30)
    assert decode(data, AudioFormat("float32", 16_000)).tolist() == [0.25, -1.0, 1.0]


def test_channels_are_averaged() -> None:
    data = struct.pack("<4f", 0.5, -0.5, 1.0, 0.5)
    assert decode(data, AudioFormat("float32", 48_000, channels=2)).tolist() == [0.0, 0.75]


def test_no_bytes_are_no_samples() -> None:
    assert decode(b"", AudioFormat("pcm16", 8_000)).shape == (0,)


@pytest.mark.parametrize(("encoding", "channels", "bytes_"), [("pcm16", 1, 3), ("pcm16", 2, 6), ("float32", 1, 6)])
def test_half_a_sample_is_refused(encoding: str, channels: int, bytes_: int) -> None:
    with pytest.raises(InvalidValueError, match=rf"expected a multiple of \d bytes .*got {bytes_}"):
        decode(bytes(bytes_), AudioFormat(encoding, 16_000, channels))  # type: ignore[arg-type]


@pytest.mark.parametrize("sample", [float("nan"), float("inf")])
def test_samples_that_are_not_finite_are_refused(sample: float) -> None:
    with pytest.raises(InvalidValueError, match="expected finite samples"):
        decode(struct.pack("<2f", 0.0, sample), AudioFormat("float32", 16_000))


@pytest.mark.parametrize(
    ("values", "param"),
    [(("pcm8", 16_000, 1), "format"), (("pcm16", 7_999, 1), "rate"), (("pcm16", 96_000, 1), "rate"), (("pcm16", 16_000, 0), "channels")],
)
def test_a_format_that_is_not_served_names_its_field(values: tuple[str, int, int], param: str) -> None:
    with pytest.raises(InvalidValueError) as refused:
        AudioFormat(*values)  # type: ignore[arg-type]
    assert refused.value.param == f"audio.{param}"


def test_decoding_leaves_the_bytes_alone() -> None:
    data = bytearray(struct.pack("<2f", 0.5, 2.0))
    samples = decode(bytes(data), AudioFormat("float32", 16_000))
    torch.testing.assert_close(samples, torch.tensor([0.5, 1.0]))
    assert struct.unpack("<2f", data) == (0.5, 2.0)
