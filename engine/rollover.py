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
TEXT_SHARES, SOUND_SHARES = 2, 4  # of those rows, one in so many is the target's: a second of sound takes 25, what is said in it some 5
WORD_MS = 300  # of speech: nobody says more for long
WINDOW = 1024  # characters of an append that are looked at together
LONGEST = 1024  # characters without a place to cut, behind which a seam makes one
_WORD = re.compile(r"\s{0,16}\S{1,8}\s?|\s{1,16}")  # scripts without blanks are cut every eight characters (backbones/source_codec.py)


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


def longest(room: int) -> int:
    """Characters without a place to cut that a slot with `room` rows for the stream may wait for: a seam cuts longer ones anywhere."""
    return min(LONGEST, max(64, int(CARRIED * room)))


class Speech:
    """The source's text in the slot, as far as sentences need it. last: the last one that has ended."""

    def __init__(self) -> None:
        self.last = ""
        self._open = ""
        self._searched: int | None = None  # where in the append the next sentence ends, or up to where none does
        self._ends = False

    def take(self, text: str, at: int, fits: int) -> tuple[str, bool]:
        """The part of the append `text` from `at` on that comes next, and whether a sentence ends with it.

        It is empty where a sentence has ended before `at`. It reaches to the sentence's end, or as far as surely no more than `fits` tokens
        come of it; a word is taken nevertheless.
        """
        if self._searched is None:
            window = text[at : at + WINDOW]
            end = first_end(self._open + window, len(self._open))
            self._ends = end is not None
            self._searched = at + (len(window) if end is None else end - len(self._open))
        piece = text[at : self._searched]
        sure = piece.encode()[: max(fits // 3, 0)].decode(errors="ignore")  # no text has more than three tokens a byte
        if len(sure) < len(piece):
            piece = _to_word_end(piece, len(sure))
        self._open += piece
        if at + len(piece) < self._searched:
            return piece, False
        self._searched = None
        if self._ends:
            self.last, self._open = self._open, ""
        return piece, self._ends


def _to_word_end(text: str, at: int) -> str:
    """`text` to the end of the word that the character before `at` belongs to, or the first one."""
    word = _WORD.match(text, max(at - 1, 0))
    return text[: word.end()] if word else text


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
