"""Examples and encoders that training's tests share. Knows no test."""

from functools import cache
from random import Random

import numpy as np

from tasks import Task
from tasks.example import Example
from tests import tiny
from training.encoding import Encoder, Item

WORDS = (
    "the",
    "dog",
    "sat",
    "down",
    "!",
    "Where",
    "it?",
    "wasn't",
    "Größe,",
    "12",
    "345",
    "世界你好世界你好世",
    "naïve",
    "café",
    "—",
    "end.",
)


@cache
def encoder(positions: int = 512, offset: int = 0) -> Encoder:
    """Of the tiny checkpoint."""
    checkpoint = tiny.checkpoint()
    return Encoder(checkpoint.tokenizer, checkpoint.config.model_copy(update={"offset": offset}), positions)


def text(rng: Random, words: int) -> str:
    """Random words in several scripts, with blanks of several kinds between and around them."""
    blanks = (" ", " ", " ", "  ", "\n", "\t")
    return "".join(rng.choice(WORDS) + rng.choice(blanks) for _ in range(words)) + rng.choice(("end", "end.", "end ", "!\n"))


def item(seed: int, task: Task, *, encode: Encoder | None = None) -> Item:
    """A random example as ids."""
    rng = Random(seed)
    example = Example(id=f"item:{seed}", source=text(rng, rng.randint(1, 9)), references=(text(rng, rng.randint(0, 6)),))
    return (encode or encoder()).encode(example, task, "here")


def trajectory(rng: Random, of: Item) -> np.ndarray:
    """[P] random, never falling, from nothing read to everything and the source's end."""
    return np.array(sorted(rng.randint(0, of.count + 1) for _ in of.target))
