"""English sentences of Tatoeba as something that mishears would spell them, and as they are: what comes before hearing.

    python -m recipes.slips --data data/tatoeba-en-de --out runs/slips

A backbone learns from them to write down what stands in its source, in a fifth of the time of a recording. Knows sentences; no sound.
"""

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from recipes.command import command
from recipes.speech import sentences

CLEAN = 0.3  # of the sources are without a slip
SLIPS = 0.12  # of the letters of the others, on average
LETTERS = "etaoinshrdlu"


def misheard(text: str, rng: np.random.Generator) -> str:
    """Some letters left out, doubled, or others in their place; blanks stay."""
    rate = 0.0 if rng.random() < CLEAN else rng.uniform(0, 2 * SLIPS)
    slips = rng.random(len(text)) < rate
    kinds, others = rng.integers(3, size=len(text)), rng.integers(len(LETTERS), size=len(text))
    made = ""
    for place, letter in enumerate(text):
        if letter.isspace() or not slips[place]:
            made += letter
        elif kinds[place]:
            made += LETTERS[others[place]] if kinds[place] == 1 else letter * 2
    return " ".join(made.split()) or text


def main(
    data: Annotated[Path, typer.Option(help="Folder with train.tsv.gz and dev.tsv.gz.")],
    out: Annotated[Path, typer.Option(help="Folder for train.jsonl and dev.jsonl.")],
    seed: Annotated[int, typer.Option(help="Of the order and of the slips.")] = 0,
) -> None:
    """Write sentences and what they were misheard as."""
    out.mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev"):
        rng = np.random.default_rng([seed, 3])
        found = sentences(data / f"{split}.tsv.gz", seed)
        rows = [{"id": f"slips:{split}:{n}", "source": misheard(text, rng), "target": text} for n, text in enumerate(found)]
        (out / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        print(f"{split}: {len(rows)} sentences")


if __name__ == "__main__":
    command(main)
