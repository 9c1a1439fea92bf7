"""Words of needle QA, a module a split: no name, place or phrasing of one stands in another."""

from tasks.needle_words.base import ENTITIES, RELATIONS, Form, Phrasings, Words
from tasks.needle_words.dev import DEV
from tasks.needle_words.test import TEST
from tasks.needle_words.train import TRAIN

WORDS: dict[str, Words] = {"train": TRAIN, "dev": DEV, "test": TEST}

__all__ = ["ENTITIES", "RELATIONS", "WORDS", "Form", "Phrasings", "Words"]
