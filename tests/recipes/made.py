"""A tiny data set of spoken digits, and voices that are tones. Knows no test."""

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from recipes.recordings import RATE, Samples


def sound(digit: int, seconds: float = 0.2, rate: int = RATE) -> Samples:
    """A tone whose pitch is the digit."""
    return (0.2 * np.sin(2 * np.pi * (300 + 100 * digit) * np.arange(int(seconds * rate)) / rate)).astype(np.float32)


def digits(folder: Path, speakers: Sequence[str] = ("ann", "bob", "cy"), takes: int = 7) -> Path:
    """An archive like that of the Free Spoken Digit Dataset, 8 kHz."""
    folder.mkdir(exist_ok=True)
    with tarfile.open(folder / "recordings.tar", "w") as archive:
        for speaker in speakers:
            for digit in range(10):
                for take in range(takes):
                    made = io.BytesIO()
                    soundfile.write(made, sound(digit, 0.1 + 0.01 * take, 8000), 8000, format="WAV", subtype="PCM_16")
                    found = tarfile.TarInfo(f"recordings/{digit}_{speaker}_{take}.wav")
                    found.size = made.tell()
                    made.seek(0)
                    archive.addfile(found, made)
    return folder


class Tone:
    """A voice that hums as many tenths of a second as a line has words."""

    def __init__(self, name: str = "tone") -> None:
        self.name = name
        self.lines: list[str] = []

    def read(self, lines: Sequence[str]) -> list[Samples]:
        self.lines += lines
        return [sound(1, 0.1 * len(line.split())) for line in lines]
