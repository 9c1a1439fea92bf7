"""English sentences of Tatoeba read aloud by synthetic voices.

    python -m recipes.speech --data data/tatoeba-en-de --out runs/speech --hours 5 --piper voices/en_US-joe-medium.onnx

The split is that of the text; the test sentences are read by a voice that reads nothing else. Knows sentences and voices by their protocol.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.progress import Progress

from recipes.command import command
from recipes.recordings import Recording, Recordings, Samples, put_together
from recipes.voices import TEST_VOICE, Voice, readers
from tasks import translation

BATCH = 64  # recordings of one start of a voice's program
JOINED = (0.6, 0.3, 0.1)  # how often a recording is of one, two, three sentences
PAUSES = (0.1, 0.8)  # seconds
LONGEST = 200  # characters of a sentence: beyond that a recording is longer than a small model hears


def sentences(path: Path, seed: int) -> list[str]:
    """The English sides, each once, in an order of their own. Raises InvalidValueError for a file that is none."""
    found = list(dict.fromkeys(" ".join(example.source.split()) for example in translation.read(path)))
    short = [text for text in found if len(text) <= LONGEST]
    return [short[place] for place in np.random.default_rng(seed).permutation(len(short))]


def texts(path: Path, seed: int) -> Iterator[tuple[int, list[str]]]:
    """What is read in one recording, with its number: one to three sentences, until there are no more."""
    rng, left = np.random.default_rng([seed, 1]), sentences(path, seed)
    number = 0
    while left:
        count = 1 + int(rng.choice(len(JOINED), p=JOINED))
        yield number, left[:count]
        left, number = left[count:], number + 1


def batches(planned: Iterator[tuple[int, list[str]]], voices: int) -> Iterator[tuple[int, list[tuple[int, list[str]]]]]:
    """(voice, recordings): BATCH recordings a batch, voices taking turns."""
    turn = 0
    while batch := [one for _, one in zip(range(BATCH), planned, strict=False)]:
        yield turn % voices, batch
        turn += 1


def id_of(split: str, number: int, seed: int) -> str:
    """Another in every set: those of several seeds can be trained on together. Seed 0 is not named, as it never was."""
    return f"speech:{split}:{seed}.{number}" if seed else f"speech:{split}:{number}"


def say(split: str, voice: Voice, batch: Sequence[tuple[int, list[str]]], seed: int) -> list[Recording]:
    """The recordings of a batch."""
    lines = iter(voice.read([line for _, said in batch for line in said]))
    return [_recording(split, voice.name, number, said, [next(lines) for _ in said], seed) for number, said in batch]


def _recording(split: str, voice: str, number: int, said: Sequence[str], pieces: Sequence[Samples], seed: int) -> Recording:
    rng = np.random.default_rng([seed, 2, number])
    samples, _ = put_together(pieces, rng.uniform(*PAUSES, size=len(pieces) + 1).tolist())
    return Recording(id_of(split, number, seed), f"{voice}:{number}", " ".join(said), samples)


def make(data: Path, out: Path, split: str, voices: Sequence[Voice], *, hours: float, seed: int) -> float:
    """Writes what is missing of `split` until there are so many hours, or no more text. Returns the hours that there are."""
    written = Recordings(out, split)
    with Progress() as bar:
        shown = bar.add_task(split, total=hours)
        for turn, batch in batches(texts(data / f"{split}.tsv.gz", seed), len(voices)):
            if written.seconds >= 3600 * hours:
                break
            missing = [(number, said) for number, said in batch if id_of(split, number, seed) not in written.ids]
            for one in say(split, voices[turn], missing, seed) if missing else ():
                if written.seconds < 3600 * hours:
                    written.add(one)
            bar.update(shown, completed=written.seconds / 3600)
    return written.seconds / 3600


def main(
    data: Annotated[Path, typer.Option(help="Folder with train.tsv.gz, dev.tsv.gz and test.tsv.gz.")],
    out: Annotated[Path, typer.Option(help="Folder for train.jsonl, dev.jsonl and test.jsonl; one that was begun is gone on with.")],
    hours: Annotated[float, typer.Option(help="Of training; an eighth each of development and test.", min=0.01)] = 5.0,
    piper: Annotated[Path | None, typer.Option(help="A Piper voice, .onnx.", show_default=False)] = None,
    piper_program: Annotated[str, typer.Option(help="The program that reads with it.")] = "piper",
    test_voice: Annotated[str, typer.Option(help="Which of flite's is kept for testing.")] = TEST_VOICE,
    espeak: Annotated[list[str] | None, typer.Option(help="A voice of espeak-ng, for training.", show_default=False)] = None,
    seed: Annotated[int, typer.Option(help="Of the order, the voices and the pauses.")] = 0,
) -> None:
    """Have sentences read aloud."""
    for split, voices in readers(piper, piper_program, test_voice, espeak or ()).items():
        share = 1.0 if split == "train" else 0.125
        print(f"{split}: {make(data, out, split, voices, hours=share * hours, seed=seed):.2f} hours")


if __name__ == "__main__":
    command(main)
