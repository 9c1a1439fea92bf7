"""Text out: turns the target's token ids into text as they come, and knows which tokens begin a word.

Never emits half a character. Does not know what a session, an end token or a stop string is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Tokenizer
from tokenizers.decoders import DecodeStream

from errors import CheckpointError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_MARKER = "▁"
# A character has at most four bytes, so more tokens than this without a complete one are broken bytes, or a model that really
# writes a long run of U+FFFD. Waiting further would make every step decode them all again.
_MAX_PENDING = 64


def backend(tokenizer: PreTrainedTokenizerFast | Tokenizer) -> Tokenizer:
    """The tokenizers-library object inside a transformers tokenizer. Raises CheckpointError for a tokenizer written in Python."""
    inner = tokenizer if isinstance(tokenizer, Tokenizer) else getattr(tokenizer, "backend_tokenizer", None)
    if not isinstance(inner, Tokenizer):
        raise CheckpointError(f"expected a fast tokenizer (tokenizer.json), got {type(tokenizer).__name__}")
    return inner


class TargetDecoder:
    """Incremental decoder of one session: pushes and flush joined equal the decoding of all ids at once, without special tokens.

    That holds for ids whose bytes are sound. Where they are not, every broken character still comes out as U+FFFD, but a byte-fallback
    decoder that sees all ids at once may replace its sound neighbours too, which are out here already.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast | Tokenizer) -> None:
        """Starts at the beginning of a text. Raises CheckpointError for a tokenizer written in Python."""
        self._tokenizer = backend(tokenizer)
        self._stream = DecodeStream(skip_special_tokens=True)
        self._context: list[int] = []  # the ids of the last emission: decoders treat the start of a text differently
        self._pending: list[int] = []  # the ids since then
        self._begun = False

    def push(self, token: int) -> str:
        """The text that `token` completed, "" while half a character is pending and for ids without text (special, unknown)."""
        self._pending.append(token)
        try:
            text = self._stream.step(self._tokenizer, token)
        except Exception:  # the library raises bare Exceptions
            # A byte-fallback decoder replaces a whole run of bytes where its end is broken, also the part that was right and is
            # out. The library's stream then refuses every later step, so it is replaced.
            return self._restart()
        if text is None:
            return self._restart() if len(self._pending) >= _MAX_PENDING else ""
        self._context, self._pending, self._begun = self._pending, [], True
        return text

    def flush(self) -> str:
        """What is left at the end of the text; U+FFFD stands for a character whose last bytes never came."""
        return self._restart()

    def _restart(self) -> str:
        """Emits what is pending, complete or not, and goes on behind it."""
        text = self._rest()
        self._begun = self._begun or bool(text)
        # Not the ids just emitted: a context that ends in U+FFFD makes the library's stream repeat it.
        self._context, self._pending = self._letter() if self._begun else [], []
        self._stream = DecodeStream(ids=list(self._context), skip_special_tokens=True)
        return text

    def _rest(self) -> str:
        if not self._pending:
            return ""
        known, whole = self._decode(self._context), self._decode(self._context + self._pending)
        if whole.startswith(known):
            return whole[len(known) :]
        letter = self._letter()
        return self._decode(letter + self._pending)[len(self._decode(letter)) :]

    def _letter(self) -> list[int]:
        """Some token of plain text: behind it a decoder strips no leading space."""
        known = (self._tokenizer.token_to_id(char) for char in "aeiou")
        return [index for index in known if index is not None][:1]

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))


def word_starts(tokenizer: PreTrainedTokenizerFast | Tokenizer) -> tuple[bool, ...]:
    """Per token id, whether the token's text begins with whitespace, and so begins a new word; True for special tokens.

    Covers the tokenizer's ids, gaps in them being True; a model's output may have more rows. A language without spaces has no such
    tokens. Read from the vocabulary's raw strings: decoding each id would lose the leading space of SentencePiece tokenizers.
    Raises CheckpointError for a tokenizer written in Python.
    """
    inner = backend(tokenizer)
    vocabulary = inner.get_vocab(with_added_tokens=True)
    table = [True] * (max(vocabulary.values(), default=-1) + 1)
    byte_of = _byte_alphabet() if "ByteLevel" in str(inner.decoder) else None
    for token, index in vocabulary.items():
        table[index] = _begins_word(token, byte_of)
    for index, added in inner.get_added_tokens_decoder().items():  # these stand in the vocabulary as plain text
        table[index] = added.special or _begins_word(added.content, None)
    return tuple(table)


def _begins_word(token: str, byte_of: dict[str, int] | None) -> bool:
    if byte_of is not None:
        return bytes(byte_of[char] for char in token if char in byte_of).decode("utf-8", "replace")[:1].isspace()
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):  # a byte of SentencePiece's byte fallback
        return bytes.fromhex(token[3:5]).isspace()
    return token[:1].isspace() or token.startswith(_MARKER)


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's characters for the 256 bytes: printable Latin-1 stands for itself, the others follow from U+0100 on, in order."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + rank): byte for rank, byte in enumerate(others)}
