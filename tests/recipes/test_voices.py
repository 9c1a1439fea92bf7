"""Voices are programs: what they are given, what becomes of their files, and what is said when they fail. Stand-ins play them here."""

from pathlib import Path

import pytest

from errors import InvalidValueError
from recipes.voices import Espeak, Flite, Piper, Voice

# Writes a second of silence for each line of its input, at 8 kHz.
PLAYER = """#!/usr/bin/env python3
import sys, wave, pathlib
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
text = pathlib.Path(given.get("-f") or given["-i"]).read_text(encoding="utf-8")
if "fail" in text:
    sys.exit("cannot say that")
lines = text.splitlines()
if "-d" in given:
    pathlib.Path(given["-d"]).mkdir()
for number, line in enumerate(lines[: len(lines) - ("lose" in text)]):
    with wave.open(given.get("-o") or given.get("-w") or given["-d"] + f"/{number + 9}.wav", "wb") as out:
        out.setnchannels(1), out.setsampwidth(2), out.setframerate(8000)
        out.writeframes(bytes(2 * 800 * len(line)))
"""

KINDS = ("flite", "espeak-ng", "piper")


@pytest.fixture(autouse=True)
def _programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    for name in KINDS:
        program = tmp_path / "bin" / name
        program.write_text(PLAYER, encoding="utf-8")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    (tmp_path / "joe.onnx").touch()


def voice(kind: str, folder: Path) -> Voice:
    made: dict[str, Voice] = {"flite": Flite("slt"), "espeak-ng": Espeak("en-us+f3"), "piper": Piper(folder / "joe.onnx")}
    return made[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_every_line_has_its_recording_at_16_khz(kind: str, tmp_path: Path) -> None:
    lines = ["aaa", "a", "aa"]  # piper's stand-in names them 9, 10 and 11: not in the order of letters
    found = voice(kind, tmp_path).read(lines)
    assert [len(samples) for samples in found] == [1600 * len(line) for line in lines]


@pytest.mark.parametrize("kind", KINDS)
def test_a_program_that_fails_is_quoted(kind: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=rf"expected .*{kind} to read aloud: cannot say that"):
        voice(kind, tmp_path).read(["fail"])


def test_a_recording_that_is_missing_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"expected 2 recordings of .*piper; got 1"):
        voice("piper", tmp_path).read(["lose", "one"])


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidValueError, match=r"expected a Piper voice at .*none\.onnx"):
        Piper(tmp_path / "none.onnx")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InvalidValueError, match="expected the program flite of the package flite; got none on the PATH"):
        Flite("slt")
