"""Texts against their references: SQuAD's exact match and F1, the letter of a multiple choice, bare words. Knows no corpus and no model."""

import re
import string
from collections import Counter
from collections.abc import Sequence

from errors import InvalidValueError

PUNCTUATION = str.maketrans("", "", string.punctuation)
ARTICLE = re.compile(r"\b(?:a|an|the)\b")
LETTER = re.compile(r"(?<![\w'])[A-H](?![\w'])")  # no I: in a sentence it is a pronoun


def normalised(answer: str) -> str:
    """As the official SQuAD v1.1 script: lower case, no ASCII punctuation, no English articles, single blanks (Rajpurkar et al. 2016)."""
    return " ".join(ARTICLE.sub(" ", answer.lower().translate(PUNCTUATION)).split())


def plain_words(text: str) -> str:
    """Lower case, no ASCII punctuation, single blanks: what can be heard."""
    return " ".join(text.lower().translate(PUNCTUATION).split())


def exact_match(hypothesis: str, references: Sequence[str]) -> float:
    """1.0 if the hypothesis is one of the references (at least one), both normalised; else 0.0."""
    return float(normalised(hypothesis) in {normalised(reference) for reference in references})


def f1(hypothesis: str, references: Sequence[str]) -> float:
    """The best F1 in [0, 1] over the references (at least one): words in common after normalisation, each as often as both have it.

    0 where there are none, and so, as in the v1.1 script, for two empty answers.
    """
    return max(_f1(normalised(hypothesis).split(), normalised(reference).split()) for reference in references)


def _f1(hypothesis: list[str], reference: list[str]) -> float:
    common = (Counter(hypothesis) & Counter(reference)).total()
    return 2 * common / (len(hypothesis) + len(reference)) if common else 0.0


def option_letter(text: str) -> str | None:
    """The first capital A to H that stands alone ("B", "(B) Paris", "The answer is B."); None where there is none.

    An "A" that begins a sentence counts: a task asks for the letter first.
    """
    found = LETTER.search(text)
    return found[0] if found else None


def accuracy(hypothesis: str, references: Sequence[str]) -> float:
    """1.0 if the option letter of the hypothesis is that of a reference; else 0.0. Raises InvalidValueError for a reference without one."""
    letters = [option_letter(reference) for reference in references]
    if None in letters:
        raise InvalidValueError(f"expected every reference to have an option letter, A to H; got {list(references)}", param="references")
    return float(option_letter(hypothesis) in letters)
