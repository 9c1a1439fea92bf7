"""Needle QA read aloud: generated passages that answer, or do not answer, a question that is asked beforehand.

    python -m recipes.spoken_needle --out runs/spoken-needle --max-words 60 --piper voices/en_US-joe-medium.onnx

Knows the generator and voices by their protocol. A long passage takes minutes to hear: it is for backbones with room for that.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from recipes.command import command
from recipes.recordings import Recording, Recordings
from recipes.voices import TEST_VOICE, Voice, readers
from tasks import needle_qa
from tasks.example import Example

BATCH = 16  # passages of one start of a voice's program


def passages(split: str, seed: int, max_words: int) -> Iterator[Example]:
    """Endless items of at most so many words."""
    return (example for example in needle_qa.stream(split, seed) if len(example.source.split()) <= max_words)


def make(
    out: Path,
    split: str,
    voices: Sequence[Voice],
    *,
    count: int,
    seed: int,
    max_words: int = needle_qa.MAX_WORDS,
    transcribe: bool = False,
) -> None:
    """Writes what is missing of `count` passages; voices take turns.

    transcribe: what they say is the target; else the answer is, and what they say stands beside it, to learn to hear it
    """
    written, left = Recordings(out, split), passages(split, seed, max_words)
    for turn in track(range(-(-count // BATCH)), description=split):
        batch = list(islice(left, min(BATCH, count - turn * BATCH)))
        missing = [example for example in batch if example.id not in written.ids]
        for one in _read(voices[turn % len(voices)], missing, transcribe) if missing else ():
            written.add(one)


def _text(example: Example) -> str:
    return " ".join(example.source.split())


def _read(voice: Voice, examples: Sequence[Example], transcribe: bool) -> list[Recording]:
    made = []
    for example, samples in zip(examples, voice.read([_text(example) for example in examples]), strict=True):
        said, cluster = _text(example), f"{voice.name}:{example.cluster}"
        made.append(
            Recording(example.id, cluster, said, samples)
            if transcribe
            else Recording(example.id, cluster, example.references[0], samples, inputs=dict(example.inputs), said=said)
        )
    return made


def main(  # noqa: PLR0913, PLR0917 (one a flag)
    out: Annotated[Path, typer.Option(help="Folder for train.jsonl, dev.jsonl and test.jsonl; one that was begun is gone on with.")],
    count: Annotated[int, typer.Option(help="Passages of training; a tenth each of development and test.", min=10)] = 2000,
    max_words: Annotated[int, typer.Option(help="No longer passages than that.", min=needle_qa.MIN_WORDS)] = needle_qa.MAX_WORDS,
    piper: Annotated[Path | None, typer.Option(help="A Piper voice, .onnx.", show_default=False)] = None,
    piper_program: Annotated[str, typer.Option(help="The program that reads with it.")] = "piper",
    espeak: Annotated[list[str] | None, typer.Option(help="A voice of espeak-ng, for training.", show_default=False)] = None,
    transcribe: Annotated[bool, typer.Option(help="Write down what is said, in place of what is answered.")] = False,
    test_voice: Annotated[str, typer.Option(help="Which of flite's is kept for testing.")] = TEST_VOICE,
    seed: Annotated[int, typer.Option(help="Of the passages.")] = 0,
) -> None:
    """Have needle QA's passages read aloud."""
    for split, voices in readers(piper, piper_program, test_voice, espeak or ()).items():
        share = count if split == "train" else count // 10
        make(out, split, voices, count=share, seed=seed, max_words=max_words, transcribe=transcribe)


if __name__ == "__main__":
    command(main)
