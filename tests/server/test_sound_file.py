"""Files: three kinds are read to their last sample, and what is none of them, broken or too long is told apart before a model hears it."""

import io

import numpy as np
import pytest

from errors import InvalidValueError, LimitError
from server.sound_file import SoundFile
from tests.backbones.audio import of_unknown_length
from tests.server.hearing import PCM, sound_file


def opened(data: bytes, max_seconds: float = 60.0) -> SoundFile:
    return SoundFile(io.BytesIO(data), max_seconds)


def read(sound: SoundFile, seconds: float = 0.4) -> np.ndarray:
    blocks = []
    while block := sound.read(seconds):
        blocks.append(np.frombuffer(block, dtype=np.float32))
    return np.concatenate(blocks).reshape(-1, sound.form.channels)


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_sample_comes_in_blocks(kind: str, channels: int) -> None:
    sound = opened(sound_file(kind, channels=channels))
    assert (sound.seconds, sound.form.rate, sound.form.channels) == (2.5, 16_000, channels)
    samples = read(sound)
    assert samples.shape == (40_000, channels)
    np.testing.assert_array_equal(samples[:, -1], np.frombuffer(PCM, dtype=np.int16) / np.float32(32_768))


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("WAV", "PCM_U8"), ("WAV", "FLOAT"), ("FLAC", "PCM_24")])
def test_other_encodings_are_read_too(kind: str, subtype: str) -> None:
    samples = read(opened(sound_file(kind, subtype=subtype)))[:40_000, 0]
    expected = np.frombuffer(PCM, dtype=np.int16) / 32_768
    assert np.corrcoef(samples, expected)[0, 1] > 0.8


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "an empty one"),
        (b"RIFF", "a broken WAV file"),
        (b"ID3\x03" + bytes(400), "another file"),
        (b"<html>" * 100, "another file"),
        (sound_file("FLAC")[:30], "a broken FLAC file"),
        (b"OggS" + bytes(400), "a broken Ogg file"),
        (sound_file("AIFF"), "another file"),
    ],
    ids=["empty", "head only", "mp3", "text", "half a flac head", "no ogg", "aiff"],
)
def test_what_is_no_sound_file_is_refused(data: bytes, told: str) -> None:
    with pytest.raises(InvalidValueError, match=told) as refused:
        opened(data)
    assert refused.value.param == "file"


@pytest.mark.parametrize(("rate", "channels", "seconds"), [(96_000, 1, 0.1), (4_000, 1, 0.1), (16_000, 9, 0.1), (16_000, 1, 0.0)])
def test_rates_channels_and_lengths_have_bounds(rate: int, channels: int, seconds: float) -> None:
    with pytest.raises(InvalidValueError, match="8000 to 48000 Hz, 1 to 8 channels and some samples"):
        opened(sound_file("WAV", seconds, rate=rate, channels=channels))


def test_a_file_that_is_too_long_is_refused_by_its_header() -> None:
    with pytest.raises(LimitError, match="at most 2 s of audio, got a file of 2 s") as refused:
        opened(sound_file(), max_seconds=2.0)
    assert refused.value.code == "source_too_long"


def damaged(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes(2_000) + data[middle + 2_000 :]


@pytest.mark.parametrize("data", [sound_file("FLAC")[:-20_000], damaged(sound_file("FLAC"))], ids=["cut off", "damaged"])
def test_a_broken_flac_is_noticed(data: bytes) -> None:
    with pytest.raises(InvalidValueError, match=r"broken FLAC file|breaks off or is damaged"):
        read(opened(data))
    with pytest.raises(InvalidValueError, match=r"broken FLAC file|breaks off or is damaged"):
        read(opened(of_unknown_length(data)))


def test_a_flac_that_was_written_to_a_pipe_is_read_to_its_end() -> None:
    sound = opened(of_unknown_length(sound_file("FLAC")))
    assert sound.seconds is None
    np.testing.assert_array_equal(read(sound), read(opened(sound_file("FLAC"))))


@pytest.mark.parametrize("size", [b"\xff" * 4, bytes.fromhex("24f0ff7f"), bytes(4)], ids=["ffmpeg", "sox", "none"])
def test_a_wav_that_was_written_to_a_pipe_is_read_to_its_end(size: bytes) -> None:
    wav = sound_file("WAV")
    sound = opened(wav[:4] + size + wav[8:40] + (size if any(size) else wav[40:44]) + wav[44:])  # of the file, and of its samples
    np.testing.assert_array_equal(read(sound), read(opened(wav)))


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_wav_that_breaks_off_is_no_whole_one(kept: float) -> None:
    wav = sound_file("WAV")
    with pytest.raises(InvalidValueError, match="one that breaks off"):
        opened(wav[: int(kept * len(wav))])
    assert len(read(opened(wav[:-1] + b"\0"))) == 40_000


def test_it_may_be_closed_while_it_is_read() -> None:
    sound = opened(sound_file())
    assert sound.read(0.4)
    sound.close()
    sound.close()
    with pytest.raises(InvalidValueError):
        sound.read(0.4)
