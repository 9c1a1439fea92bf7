"""Voices that read text: programs of other projects, started as such. Knows their command lines and no text.

flite and espeak-ng are Debian's packages of those names. piper is a command of the package piper-tts (GPL-3: a tool, not a dependency), for
a voice in ONNX.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import soundfile  # type: ignore[import-untyped]

from errors import InvalidValueError, UnknownNameError
from recipes.recordings import Samples, at_rate

FLITE = ("slt", "rms", "awb", "kal16")
TEST_VOICE = "rms"  # of these: kept for testing, so it reads nothing that is trained on
SECONDS = 3600  # for one batch; a program that hangs ends here


class Voice(Protocol):
    """Reads lines of text."""

    @property
    def name(self) -> str:
        """As it stands in ids."""
        ...

    def read(self, lines: Sequence[str]) -> list[Samples]:
        """The recording of each line, at 16 kHz. Raises InvalidValueError where the program fails."""
        ...


class _LineByLine:
    """A program that reads one line a process, of some 50 ms. flags: before the voice's name and before the file that it writes."""

    program: str
    flags: tuple[str, str]

    def __init__(self, name: str) -> None:
        self.name = name
        self._program = _found(self.program, self.program)

    def read(self, lines: Sequence[str]) -> list[Samples]:
        """As Voice.read."""
        voice, out = self.flags
        with tempfile.TemporaryDirectory() as made:
            text, sound = Path(made) / "line.txt", Path(made) / "line.wav"
            found = []
            for line in lines:
                text.write_text(line + "\n", encoding="utf-8")
                _run([self._program, voice, self.name, "-f", str(text), out, str(sound)])
                found.append(_read(sound))
            return found


class Flite(_LineByLine):
    """One of flite's voices."""

    program, flags = "flite", ("-voice", "-o")


class Espeak(_LineByLine):
    """One of espeak-ng's, such as en-us+f3: a language, and a speaker, both made of formants."""

    program, flags = "espeak-ng", ("-v", "-w")


class Piper:
    """A voice in ONNX by `program`; its configuration lies beside it."""

    def __init__(self, model: Path, program: str = "piper") -> None:
        self.name = model.stem
        self._model, self._program = model, _found(program, "piper-tts")
        if not model.is_file():
            raise InvalidValueError(f"expected a Piper voice at {model}; got no file", param="piper")

    def read(self, lines: Sequence[str]) -> list[Samples]:
        """One process for all of them, as it takes seconds to load."""
        with tempfile.TemporaryDirectory() as made:
            text, out = Path(made) / "lines.txt", Path(made) / "out"
            text.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
            _run([self._program, "-m", str(self._model), "-i", str(text), "-d", str(out)])
            sounds = sorted(out.glob("*.wav"), key=lambda path: int(path.stem))  # named by a clock that never goes back
            if len(sounds) != len(lines):
                raise InvalidValueError(f"expected {len(lines)} recordings of {self._program}; got {len(sounds)}")
            return [_read(path) for path in sounds]


def readers(piper: Path | None, program: str, test_voice: str, espeak: Sequence[str] = ()) -> dict[str, list[Voice]]:
    """Of each split: `test_voice`, one of flite's, reads test data and nothing else; `espeak`'s read for training alone.

    Raises InvalidValueError for what is not there.
    """
    if test_voice not in FLITE:
        raise UnknownNameError("voice", test_voice, FLITE, param="test_voice")
    voices: list[Voice] = [Flite(name) for name in FLITE if name != test_voice]
    if piper is not None:
        voices.insert(0, Piper(piper, program))
    return {"test": [Flite(test_voice)], "dev": voices, "train": [*voices, *map(Espeak, espeak)]}


def _found(program: str, package: str) -> str:
    path = shutil.which(program)
    if path is None:
        raise InvalidValueError(f"expected the program {program} of the package {package}; got none on the PATH")
    return path


def _run(arguments: list[str]) -> None:
    try:
        subprocess.run(arguments, check=True, capture_output=True, timeout=SECONDS)
    except (OSError, subprocess.SubprocessError) as error:
        told = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        raise InvalidValueError(f"expected {arguments[0]} to read aloud: {told[-1] if told else error}") from None


def _read(path: Path) -> Samples:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    return at_rate(samples[:, 0], rate)
