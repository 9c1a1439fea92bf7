"""Recordings for training's tests: tones and noise, written as files. Knows no test."""

import json
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from tests import tiny
from training.augmentation import Augmentation
from training.sounds import Sounds

RATE = 16_000
TONES = {"low": 300.0, "high": 2500.0}


def tone(word: str, seconds: float = 0.4, rate: int = RATE) -> NDArray[np.float32]:
    """A tone that stands for a word, with some silence behind it."""
    at = np.arange(int(seconds * rate)) / rate
    return (0.3 * np.sin(2 * np.pi * TONES[word] * at) * (at < 0.75 * seconds)).astype(np.float32)


def noise(samples: int, seed: int = 0) -> NDArray[np.float32]:
    """White."""
    return (0.1 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def write(path: Path, samples: NDArray[np.float32], rate: int = RATE) -> Path:
    """WAV or FLAC of 16 bits, as the path ends."""
    soundfile.write(path, samples, rate, subtype="PCM_16")
    return path


def tones(folder: Path) -> Path:
    """A JSONL of recordings of two or three tones each, and the words that they stand for."""
    words = list(TONES)
    rows = []
    for number in range(16):
        said = [words[number >> bit & 1] for bit in range(2 + number % 2)]
        write(folder / f"{number}.wav", np.concatenate([tone(word) for word in said]))
        rows.append({"audio": f"{number}.wav", "target": " ".join(said)})
    path = folder / "tones.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def sounds(every: int = 10, **changes: object) -> Sounds:
    """Of the tiny hearing checkpoint."""
    return Sounds(tiny.ENCODER, every=every, augmentation=Augmentation.model_validate(changes))
