"""Text in: turns a stream of arbitrary pieces of text into the tokens of the whole, and counts the units that phi counts.

Holds back what may still grow. Knows the tokenizer and Unicode; knows nothing of prompts, templates, sessions or the model.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from tokenizers import Encoding, Tokenizer

from backbones.plain_tokenizer import build, is_blank, plain_spec, pre_tokens, splits_at_blanks, stops, without_prefix
from backbones.target_codec import backend
from errors import BadStateError, CheckpointError, InvalidValueError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

RUN_CUT = 8  # characters between the forced cuts in a run of unsegmented script; part of a checkpoint's training, so not a setting

# Han, Hiragana, Katakana, Thai, Lao, Khmer, Myanmar, CJK punctuation (not U+3000, which is whitespace), half- and fullwidth forms.
# Hangul is written with spaces, so its halfwidth forms (U+FFA0-FFDC) are left out as well.
_UNSEGMENTED = re.compile(
    "[\u0e01-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f\u2e80-\u2fdf\u3001-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff01-\uff9f\uffdd-\uffef\U0001aff0-\U0001b16f\U00020000-\U0003ffff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")

# What may follow the text held so far. A pre-token's end depends on the next characters' classes (letter, digit, other, mark, blank,
# line break), so a cut that all of these leave alone is taken as fixed.
_PROBES = ("", "x", "0", "!", " ", "\n", "\u0301")
_SLICE = 2048  # characters of one append that are looked at together: every probe encodes what is held again
_PATIENT = 1024  # characters held from which on a search without result is repeated only after growth by an eighth
_SELF_CHECK = "Dog, cat's 12 345!\n\nThe  end. \tx\r\n y?!\n \u00e9 e\u0301 <a> \u4e16\u754c foo\u3000bar \U0001f600 z\n"


@dataclass(frozen=True)
class SourceUnits:
    """Source tokens in order; per token the 0-based index, over the stream, of its unit; and the units released so far."""

    tokens: tuple[int, ...]
    units: tuple[int, ...]
    released: int


class SourceCodec:
    """Immutable, shared between sessions and threads. Works on a copy of the tokenizer: transformers changes its own at each call."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast | Tokenizer) -> None:
        """Raises CheckpointError for a tokenizer whose tokens cannot be told before the whole text is known."""
        spec = plain_spec(json.loads(backend(tokenizer).to_str()))
        later = without_prefix(spec)
        self._start = build(spec)
        self._later = self._start if later == spec else build(later)
        self._stops = None if splits_at_blanks(self._later) else stops(self._later, spec["model"])
        self._check(spec)

    def encode(self, text: str) -> SourceUnits:
        """All of `text` at once. Raises InvalidValueError for lone surrogates."""
        _check_text(text)
        ledger = _Ledger()
        bounds, _ = _Scanner().feed(text)
        for start, end in pairwise([0, *(bound for bound in bounds if bound < len(text)), len(text)]):
            ledger.add(self._encoded(text[start:end], later=start > 0))
        return ledger.take(last=True)

    def plain(self, text: str) -> tuple[int, ...]:
        """Tokens of a text that is no stream, such as a target: without the forced cuts. Raises InvalidValueError for lone surrogates."""
        _check_text(text)
        return tuple(self._start.encode(text, add_special_tokens=False).ids)

    def stream(self) -> SourceStream:
        """A new stream, at the start of its text."""
        return SourceStream(self)

    def _encoded(self, text: str, *, later: bool) -> _Encoded:
        return _Encoded(text, (self._later if later else self._start).encode(text, add_special_tokens=False))

    def _largest_cut(self, held: str, edges: Sequence[int], *, later: bool) -> _Encoded | None:
        """The longest part of `held`, up to one of `edges`, whose tokens no continuation can change."""
        if self._stops is not None:
            cut = next((edge for edge in reversed(edges) if self._is_stop(held, edge)), None)
            return None if cut is None else self._encoded(held[:cut], later=later)
        held_only, *probes = (self._encoded(held + probe, later=later) for probe in _PROBES)
        same = min(held_only.agreement(probe) for probe in probes)
        for edge in reversed(edges):
            count = held_only.tokens_before(edge)
            if count is None or count > same or any(probe.tokens_before(edge) != count for probe in probes):
                continue
            piece = self._encoded(held[:edge], later=later)
            # Alone it may end otherwise: GPT-2 splits "\n\n" in two before a word, but not before an added token.
            if piece.ids == held_only.ids[:count]:
                return piece
        return None

    def _is_stop(self, held: str, edge: int) -> bool:
        # The character before may vanish in normalisation, or be a marker itself; then a token may span the edge after all.
        before = "".join(pre_tokens(self._later, held[edge - 1]))
        return self._stops is not None and held[edge] in self._stops and bool(before) and not is_blank(before[-1])

    def _check(self, spec: dict[str, Any]) -> None:
        unknown = spec["model"].get("unk_token"), spec["model"].get("unk_id")
        for added in spec["added_tokens"]:
            plain = not added["special"] or added["content"] in unknown or added["id"] in unknown
            if not plain and added["id"] in self._encoded(added["content"], later=True).ids:
                raise CheckpointError(f"expected a tokenizer that can read {added['content']!r} as plain text, got its special token")
        stream = self.stream()
        pieces = [*map(stream.append, _SELF_CHECK), stream.finish()]
        if tuple(token for piece in pieces for token in piece.tokens) != self.encode(_SELF_CHECK).tokens:
            raise CheckpointError("expected a tokenizer whose tokens depend on the text nearby only, got one that needs the whole text")


class SourceStream:
    """One text on its way in: appends, then finish. Joined, what they return equals SourceCodec.encode of the whole."""

    def __init__(self, codec: SourceCodec) -> None:
        """See SourceCodec.stream."""
        self._codec = codec
        self._scanner = _Scanner()
        self._ledger = _Ledger()
        self._parts: list[str] = []  # the text after the last cut, unjoined: a long word's appends must not copy it each time
        self._cut = self._end = 0  # positions in the text, in characters
        self._edges: list[int] = []
        self._retry_at = 0
        self._finished = False

    @property
    def held(self) -> str:
        """The text whose tokens have not been released."""
        return self._ledger.waiting_text + "".join(self._parts)

    def append(self, text: str) -> SourceUnits:
        """What this piece of text released, maybe nothing.

        Raises InvalidValueError for lone surrogates (the stream is as before then) and BadStateError after finish.
        """
        self._check_open()
        _check_text(text)
        for start in range(0, len(text), _SLICE):
            self._feed(text[start : start + _SLICE])
        return self._ledger.take()

    def finish(self) -> SourceUnits:
        """Everything held back: the text ends here. Raises BadStateError when called twice."""
        self._check_open()
        self._finished = True
        if self._end > self._cut:
            self._release(self._codec._encoded("".join(self._parts), later=self._cut > 0))
        return self._ledger.take(last=True)

    def _feed(self, text: str) -> None:
        self._parts.append(text)
        self._end += len(text)
        bounds, edges = self._scanner.feed(text)
        self._edges += edges
        for bound in bounds:
            held = "".join(self._parts)[: bound - self._cut]
            self._release(self._codec._encoded(held, later=self._cut > 0))
        if any(edge > self._cut for edge in edges) and self._end >= self._retry_at:
            self._search()

    def _search(self) -> None:
        held = "".join(self._parts)
        edges = [edge - self._cut for edge in self._edges]
        piece = self._codec._largest_cut(held, edges, later=self._cut > 0)
        if piece is not None:
            self._release(piece)
        elif len(held) > _PATIENT:  # text made to fit no cut ("!\n/!\n/") would cost its square otherwise
            self._retry_at = self._end + len(held) // 8

    def _release(self, piece: _Encoded) -> None:
        self._ledger.add(piece)
        rest = "".join(self._parts)[len(piece.text) :]
        self._cut += len(piece.text)
        self._parts = [rest] if rest else []
        self._retry_at = 0
        self._edges = [edge for edge in self._edges if edge > self._cut]

    def _check_open(self) -> None:
        if self._finished:
            raise BadStateError("expected no more source after finish()")


class _Scanner:
    """Finds, in text that comes in pieces, the forced cuts and the edges between blank and other characters (positions in the text)."""

    def __init__(self) -> None:
        self._position = 0
        self._run = 0  # length so far of the run of unsegmented script
        self._blank: bool | None = None

    def feed(self, text: str) -> tuple[list[int], list[int]]:
        bounds: list[int] = []
        edges: list[int] = []
        for position, char in enumerate(text, self._position):
            blank = char.isspace()
            if blank != self._blank and self._blank is not None:
                edges.append(position)
            self._blank = blank
            self._run = self._run + 1 if _UNSEGMENTED.match(char) else 0
            if self._run and self._run % RUN_CUT == 0:
                bounds.append(position + 1)
        self._position += len(text)
        return bounds, edges


class _Ledger:
    """Gives tokens their units and keeps those whose unit has not come: blanks before a word that is still held."""

    def __init__(self) -> None:
        self.waiting_text = ""
        self._ready: list[tuple[int, int]] = []
        self._waiting: list[tuple[int, int]] = []
        self._units = 0

    def add(self, piece: _Encoded) -> None:
        """A piece that begins and ends at an edge or a forced cut, so that no unit lies in two pieces."""
        unit_at, count = _units(piece.text)
        units = [self._units + (unit_at[start] if start < len(unit_at) else count) for start in piece.starts]
        self._units += count
        tokens = [*self._waiting, *zip(piece.ids, units, strict=True)]
        ready = next((place for place, (_, unit) in enumerate(tokens) if unit >= self._units), len(tokens))
        before = self.waiting_text if ready < len(self._waiting) else ""
        fresh = max(ready - len(self._waiting), 0)
        self.waiting_text = before + (piece.text[piece.starts[fresh] :] if fresh < len(piece.starts) else "")
        self._ready += tokens[:ready]
        self._waiting = tokens[ready:]

    def take(self, *, last: bool = False) -> SourceUnits:
        """What has become ready since the last call; with `last`, blanks that no word follows go to the last word."""
        if last:
            self._ready += [(token, max(self._units - 1, 0)) for token, _ in self._waiting]
            self._waiting, self.waiting_text = [], ""
        taken, self._ready = self._ready, []
        return SourceUnits(tuple(token for token, _ in taken), tuple(unit for _, unit in taken), self._units)


class _Encoded:
    """Tokens of a piece of text and where its pre-tokens end. The library numbers pre-tokens and added tokens alike (word_ids)."""

    def __init__(self, text: str, encoding: Encoding) -> None:
        self.text = text
        self.ids = encoding.ids
        self.starts = [start for start, _ in encoding.offsets]
        self._ends = [end for _, end in encoding.offsets]
        self._words = encoding.word_ids

    def tokens_before(self, edge: int) -> int | None:
        """How many tokens the text before `edge` has, None where a pre-token spans it."""
        count = bisect_left(self.starts, edge)
        if count and self._ends[count - 1] > edge:
            return None
        return None if 0 < count < len(self.ids) and self._words[count - 1] == self._words[count] else count

    def agreement(self, other: _Encoded) -> int:
        """How many leading tokens both have in common."""
        pairs = enumerate(zip(self.ids, other.ids, strict=False))
        return next((place for place, (mine, its) in pairs if mine != its), min(len(self.ids), len(other.ids)))


def is_unsegmented(char: str) -> bool:
    """True for a character of a script that is written without blanks."""
    return _UNSEGMENTED.match(char) is not None


def count_units(text: str) -> int:
    """How many units a whole text has: whitespace words, and single characters in unsegmented scripts. What phi reaches at its end."""
    return _units(text)[1]


def _units(text: str) -> tuple[list[int], int]:
    """Per character the index of its unit, for blanks that of the next unit; and the number of units."""
    at: list[int] = []
    count, in_word = 0, False
    for char in text:
        single = is_unsegmented(char)
        blank = char.isspace()
        count += single or not (blank or in_word)
        in_word = not (blank or single)
        at.append(count if blank else count - 1)
    return at, count


def _check_text(text: str) -> None:
    found = None if text.isascii() else _SURROGATE.search(text)
    if found:
        raise InvalidValueError(f"expected text without lone surrogates, got U+{ord(found[0]):04X} at {found.start()}", param="text")
