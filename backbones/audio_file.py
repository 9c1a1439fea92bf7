"""Recordings on disk as a stream at 16 kHz would have them: WAV, FLAC, OGG and what else libsndfile reads.

For data that training and evaluation are given, not for what strangers send. Knows files and the resampler; knows no frames and no model.
"""

from pathlib import Path

import numpy as np
import torch

from backbones import audio_input
from backbones.audio_forwards import UNKNOWN, blocks, forwards
from backbones.audio_resample import Resampler
from errors import InvalidValueError

BLOCK = 1 << 16


def read(path: Path) -> torch.Tensor:
    """float32 [n], mono, 16 kHz. Raises InvalidValueError for what cannot be read, is empty, or is not finite."""
    import soundfile  # type: ignore[import-untyped]  # noqa: PLC0415 (who trains on text only does without)

    try:
        with forwards(soundfile.SoundFile(path)) as sound:
            rate, found = sound.samplerate, [*blocks(sound, BLOCK, "float32")]
    except (OSError, soundfile.SoundFileError) as error:
        raise _unreadable(path, error) from None
    if not found:
        raise _empty(path)
    samples = torch.from_numpy(np.concatenate(found))
    if not samples.isfinite().all():
        raise InvalidValueError(f"expected finite samples; got NaN or infinity in {path}")
    resampler = Resampler(rate)
    return torch.cat((resampler.push(samples.clamp(-1.0, 1.0).mean(dim=1)), resampler.end()))


def seconds(path: Path) -> float:
    """By the header. Raises InvalidValueError for what cannot be read, is empty, or does not say."""
    samples, rate = _header(path)
    return samples / rate


def milliseconds(path: Path) -> int:
    """The same, rounded up, as phi is."""
    samples, rate = _header(path)
    return audio_input.milliseconds(samples, rate)


def _header(path: Path) -> tuple[int, int]:
    import soundfile  # noqa: PLC0415

    try:
        found = soundfile.info(path)
    except (OSError, soundfile.SoundFileError) as error:
        raise _unreadable(path, error) from None
    if not found.frames:
        raise _empty(path)
    if found.frames >= UNKNOWN:
        raise InvalidValueError(f"expected a recording whose header says how long it is; got {path}, which was written to a pipe")
    return found.frames, found.samplerate


def _unreadable(path: Path, error: Exception) -> InvalidValueError:
    return InvalidValueError(f"expected a recording that can be read (WAV, FLAC, OGG); got {path}: {error}")


def _empty(path: Path) -> InvalidValueError:
    return InvalidValueError(f"expected a recording with at least one sample; got none in {path}")
