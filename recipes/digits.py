"""Sequences of spoken digits from the Free Spoken Digit Dataset: real voices, and the time at which every word ends.

    python -m recipes.digits --data data/fsdd --out runs/digits

Four speakers are trained on, the fifth is kept for testing. Of the four, the recordings 0 to 4 of each digit are kept for development, as
the data set's own split does. Voices that read, where there are some, are trained on beside them. Knows the data set's layout and no model.
"""

import io
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import soundfile  # type: ignore[import-untyped]
import typer
from rich.progress import track

from errors import InvalidValueError, UnknownNameError
from recipes.command import command
from recipes.recordings import RATE, Recording, Recordings, Samples, at_rate, put_together
from recipes.voices import TEST_VOICE, Voice, readers

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
ARCHIVE = "recordings.tar"
KEPT = 5  # recordings of each digit and speaker that are for development
LONGEST = 2**20  # bytes of one recording: a tenth of that is a long digit
PAUSES = (0.1, 0.8)  # seconds
SPOKEN = (".", "?", ",", "!")  # behind a word that a voice reads: it is said in another way
QUIET = 0.02  # of a word's peak; what is below is no sound of it

# By speaker, digit and number.
Digits = Mapping[str, Mapping[int, Mapping[int, Samples]]]


def read(folder: Path) -> Digits:
    """All recordings, at 16 kHz. Raises InvalidValueError where the archive or a recording is not there or not one."""
    found: dict[str, dict[int, dict[int, Samples]]] = {}
    try:
        with tarfile.open(folder / ARCHIVE) as archive:
            for member in archive:
                name = Path(member.name)
                opened = archive.extractfile(member) if name.suffix == ".wav" and member.size <= LONGEST else None
                if opened is not None:
                    digit, speaker, number = name.stem.split("_")
                    samples, rate = soundfile.read(io.BytesIO(opened.read()), dtype="float32")
                    found.setdefault(speaker, {}).setdefault(int(digit), {})[int(number)] = at_rate(samples, rate)
    except (OSError, ValueError, tarfile.TarError, soundfile.SoundFileError) as error:
        raise InvalidValueError(f"expected {ARCHIVE} of the Free Spoken Digit Dataset in {folder}: {error}", param="data") from None
    if not found:
        raise InvalidValueError(f"expected recordings DIGIT_SPEAKER_NUMBER.wav in {folder / ARCHIVE}; got none", param="data")
    return found


def aloud(voices: Sequence[Voice], takes: int) -> Digits:
    """Each digit by each voice, so many times; numbered as recordings for training are."""
    found: dict[str, dict[int, dict[int, Samples]]] = {}
    for voice in voices:
        lines = [(digit, take, WORDS[digit] + SPOKEN[take % len(SPOKEN)]) for take in range(takes) for digit in range(len(WORDS))]
        for (digit, take, _), samples in zip(lines, voice.read([text for *_, text in lines]), strict=True):
            found.setdefault(voice.name, {}).setdefault(digit, {})[KEPT + take] = trimmed(samples)
    return found


def trimmed(samples: Samples) -> Samples:
    """[n] -> [m]: without what is quiet before and behind the sound, but for 30 ms of each."""
    loud = np.flatnonzero(np.abs(samples) > QUIET * np.abs(samples).max(initial=0.0))
    kept = int(0.03 * RATE)
    return samples[max(loud[0] - kept, 0) : loud[-1] + kept] if loud.size else samples


def sequence(
    digits: Mapping[int, Mapping[int, Samples]], speaker: str, split: str, number: int, numbers: range, repeats: float = 0.0
) -> Recording:
    """3 to 8 digits by one speaker, of the recordings in `numbers`; the same for the same arguments.

    repeats: share of the digits that are the one before, beside those that are so by chance
    """
    rng = np.random.default_rng([*f"{speaker}:{split}".encode(), number])
    said = rng.integers(0, len(WORDS), size=rng.integers(3, 9)).tolist()
    for place in range(1, len(said) if repeats else 0):  # without repeats nothing is drawn: older sets stay what they are
        if rng.random() < repeats:
            said[place] = said[place - 1]
    takes = [sorted(take for take in digits[digit] if take in numbers) for digit in said]
    pieces = [digits[digit][int(rng.choice(take))] for digit, take in zip(said, takes, strict=True)]
    samples, ends = put_together(pieces, rng.uniform(*PAUSES, size=len(pieces) + 1).tolist())
    return Recording(f"digits:{speaker}:{split}:{number}", speaker, " ".join(WORDS[digit] for digit in said), samples, ends)


def make(
    digits: Digits,
    out: Path,
    test_speaker: str,
    *,
    count: int,
    test_count: int,
    voices: Digits | None = None,
    repeats: float = 0.0,
    speakers: bool = True,
) -> None:
    """Writes what is missing; `voices` read, and digits are repeated, for training alone.

    speakers: whether the others are trained on, or the voices alone
    Raises UnknownNameError for a speaker who is not there.
    """
    if test_speaker not in digits:
        raise UnknownNameError("speaker", test_speaker, digits, param="test_speaker")
    others, digits = sorted(digits.keys() - {test_speaker}), {**digits, **(voices or {})}
    trained = [*(others if speakers else ()), *(voices or {})]
    plan = [("train", trained, count, range(KEPT, 10**6)), ("dev", others, max(test_count // 4, 1), range(KEPT))]
    for split, heard, wanted, numbers in [*plan, ("test", [test_speaker], test_count, range(10**6))]:
        written = Recordings(out, split)
        for number in track(range(wanted), description=split):
            for speaker in heard:
                if f"digits:{speaker}:{split}:{number}" not in written.ids:
                    written.add(sequence(digits[speaker], speaker, split, number, numbers, repeats if split == "train" else 0.0))


def main(  # noqa: PLR0913, PLR0917 (one a flag)
    data: Annotated[Path, typer.Option(help=f"Folder with {ARCHIVE}.")],
    out: Annotated[Path, typer.Option(help="Folder for train.jsonl, dev.jsonl and test.jsonl; one that was begun is gone on with.")],
    test_speaker: Annotated[str, typer.Option(help="Who is kept for testing.")] = "theo",
    count: Annotated[int, typer.Option(help="Sequences of each speaker that is trained on.", min=1)] = 1500,
    test_count: Annotated[int, typer.Option(help="Sequences for testing; as many in all for development.", min=1)] = 300,
    repeats: Annotated[float, typer.Option(help="Share of the digits for training that are the one before.", min=0, max=0.9)] = 0.0,
    takes: Annotated[int, typer.Option(help="How often flite's voices, and the others, read each digit for training.", min=0)] = 0,
    espeak: Annotated[list[str] | None, typer.Option(help="A voice of espeak-ng, such as en-us+f3.", show_default=False)] = None,
    speakers: Annotated[bool, typer.Option(help="Train on people, or on voices alone.")] = True,
    piper: Annotated[Path | None, typer.Option(help="A Piper voice, .onnx.", show_default=False)] = None,
    piper_program: Annotated[str, typer.Option(help="The program that reads with it.")] = "piper",
) -> None:
    """Make sequences of 3 to 8 spoken digits with pauses."""
    if not takes and (espeak or piper or not speakers):
        raise InvalidValueError("expected takes with voices that read digits, or with voices alone; got 0", param="takes")
    voices = readers(piper, piper_program, TEST_VOICE, espeak or ())["train"] if takes else []
    read_aloud = aloud(voices, takes)
    make(read(data), out, test_speaker, count=count, test_count=test_count, voices=read_aloud, repeats=repeats, speakers=speakers)


if __name__ == "__main__":
    command(main)
