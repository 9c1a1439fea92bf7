"""Needle QA read aloud: generated passages that answer, or do not answer, a question that is asked beforehand.

    python -m recipes.spoken_needle --out runs/spoken-needle --count 2000 --piper voices/en_US-joe-medium.onnx

Knows the generator and voices by their protocol. A passage takes minutes to hear: it is for backbones with room for that.
"""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from recipes.command import command
from recipes.recordings import Recording, Recordings
from recipes.voices import Voice, readers
from tasks import needle_qa
from tasks.example import Example

BATCH = 16  # passages of one start of a voice's program


def make(out: Path, split: str, voices: Sequence[Voice], *, count: int, seed: int) -> None:
    """Writes what is missing of `count` passages; voices take turns."""
    written, left = Recordings(out, split), iter(needle_qa.generate(split, count, seed))
    for turn in track(range(-(-count // BATCH)), description=split):
        missing = [example for example in islice(left, BATCH) if example.id not in written.ids]
        for one in _read(voices[turn % len(voices)], missing) if missing else ():
            written.add(one)


def _read(voice: Voice, examples: Sequence[Example]) -> list[Recording]:
    read = voice.read([" ".join(example.source.split()) for example in examples])
    return [
        Recording(example.id, f"{voice.name}:{example.cluster}", example.references[0], samples, inputs=dict(example.inputs))
        for example, samples in zip(examples, read, strict=True)
    ]


def main(
    out: Annotated[Path, typer.Option(help="Folder for train.jsonl, dev.jsonl and test.jsonl; one that was begun is gone on with.")],
    count: Annotated[int, typer.Option(help="Passages of training; a tenth each of development and test.", min=10)] = 2000,
    piper: Annotated[Path | None, typer.Option(help="A Piper voice, .onnx.", show_default=False)] = None,
    piper_program: Annotated[str, typer.Option(help="The program that reads with it.")] = "piper",
    test_voice: Annotated[str, typer.Option(help="Which of flite's is kept for testing.")] = "rms",
    seed: Annotated[int, typer.Option(help="Of the passages.")] = 0,
) -> None:
    """Have needle QA's passages read aloud."""
    for split, voices in readers(piper, piper_program, test_voice).items():
        make(out, split, voices, count=count if split == "train" else count // 10, seed=seed)


if __name__ == "__main__":
    command(main)
