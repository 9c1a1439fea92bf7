"""When an endless stream goes on in a slot that is used again (a seam), and what of the text is carried over it.

Pure: knows text, counts and shares of a slot. Knows no model and no session.

A seam lies at the first sentence end of the source behind which half of the slot is used. There the source counts as ended: the model
sees the source end and writes what is left to say, as at the end of a session, until it would end the target. Then the slot begins again
behind the prompt, with the last sentence of both sides. Where no sentence ends in time, the seam lies between two words, and nothing is
carried: of half a sentence nobody knows the counterpart in the target.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tasks.sentences import first_end, sentences

HALF = 0.5  # of the rows for stream or target, whichever is fuller: from here on a sentence end is a seam
FULL = 0.9  # and from here on the next word's end is, so that what is left to say still finds room
CARRIED = 0.25  # of either side's rows: a longer sentence is not carried
LEAST = 32  # rows for stream and target together, below which no slot is worth using again
WINDOW = 1024  # characters of an append that are looked at together
_WORD = re.compile(r"\s*\S{1,64}\s?|\s+")


def fill(used: tuple[int, int], room: tuple[int, int]) -> float:
    """Share of its rows that the fuller group has used; (stream, target) each. The slot is full once one of them is."""
    return max(used[0] / room[0], used[1] / room[1])


def is_due(share: float, *, sentence_ended: bool) -> bool:
    """Whether the next seam is here."""
    return share >= FULL or (sentence_ended and share > HALF)


def forced_writes(units: int, words: int, left: int) -> int:
    """How many tokens a seam may force, at least 1: `left` fit into the slot, and a model that goes on and on must not fill it.

    units, words: of source and target in the slot. What the target lags behind by is about what is left to say.
    """
    return max(1, min(left, 32 + 4 * max(units - words, 0)))


class Speech:
    """The source's text in the slot, as far as sentences need it. last: the last one that has ended."""

    def __init__(self) -> None:
        self.last = ""
        self._open = ""

    def take(self, text: str, fits: int) -> tuple[str, bool]:
        """The part of `text` that comes next, and whether a sentence ends with it. It is empty where one has ended before `text`.

        It reaches to the sentence's end, or is one word at most where more tokens than `fits` might come of it.
        """
        window = text[:WINDOW]
        end = first_end(self._open + window, len(self._open))
        piece = window if end is None else window[: end - len(self._open)]
        if 3 * len(piece.encode()) > fits and (word := _WORD.match(piece)) and word.end() < len(piece):  # no text has more tokens
            piece, end = word[0], None
        self._open += piece
        if end is not None:
            self.last, self._open = self._open, ""
        return piece, end is not None


@dataclass(frozen=True)
class Carried:
    """The last sentence of both sides; both empty where nothing is carried. target: its tokens."""

    source: str = ""
    target: tuple[int, ...] = ()


def carry(
    source: str,
    target: str,
    room: tuple[int, int],
    *,
    source_tokens: Callable[[str], Sequence[int]],
    target_tokens: Callable[[str], Sequence[int]],
) -> Carried:
    """What goes over a seam: the sentence `source`, and the last sentence of `target`. Nothing where one is missing or too long."""
    sentence, target = source.lstrip(), target.strip()
    if not sentence or not target:
        return Carried()
    tokens = tuple(target_tokens(sentences(target)[-1]))
    if len(source_tokens(sentence)) > CARRIED * room[0] or len(tokens) > CARRIED * room[1]:
        return Carried()
    return Carried(sentence, tokens)
