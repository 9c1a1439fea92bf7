"""From an example to the token ids that a session with the same prompt, source and target would hold.

Knows tokenizer, frame and task; knows nothing of views, batches or losses. Which rows are visible at a phi is decided here, once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backbones.checkpoint import CheckpointConfig
from backbones.source_codec import SourceCodec
from backbones.target_codec import word_starts
from backbones.template import end_token, split
from errors import InvalidValueError
from tasks import Task
from tasks.example import Example
from training.augmentation import Mel
from training.sounds import Heard, Sounds

Ids = NDArray[np.int64]
SAID = "what is said in a recording"  # in errors


@dataclass(frozen=True)
class Item:
    """An example as ids. S source rows, M units, H header rows, P = L + 1 predictions.

    source: [S] prompt, stream, and what comes with the source's end (blanks behind the last word, then `source_end`); of what is heard the
            ids stand for nothing, and a unit is what comes between two decision points
    prefix: rows of the prompt; units: per stream token the unit it comes with; count: M
    header: [H]; target: [P] the target's tokens, then the end token
    asked:  [P] whether a decision may precede this prediction: with gate `word`, a begun word is finished without reading
    carried: units of the source, and predictions of the target, that a stream brought with it from the slot before
    mel:    [frames, bins] of a source that is heard
    said:   tokens of what is said in it and the end token, where that is not the target
    """

    id: str
    source: Ids
    prefix: int
    units: Ids
    count: int
    header: Ids
    target: Ids
    asked: NDArray[np.bool_]
    forbid_end: bool
    carried: tuple[int, int] = (0, 0)
    mel: Mel | None = None
    said: Ids | None = None

    def behind_carried(self, phi: Ids) -> Ids:
        """[P] from phi of the predictions behind the carried ones: those see the source that was carried with them."""
        units, predictions = self.carried
        return np.concatenate([np.full(predictions, units), phi])

    def served(self, phi: Ids) -> Ids:
        """[P] the nearest trajectory that a server can take. `phi` in units, where M + 1 means that the source has ended.

        There is no decision point before the first unit behind the carried ones; reads inside a word wait for its end; a forbidden end sees
        everything.
        """
        begun = np.maximum.accumulate(np.where(self.asked, np.arange(len(self.asked)), 0))
        units, predictions = self.carried
        phi = np.maximum(phi, units + 1)[begun]
        phi[:predictions] = units
        if self.forbid_end:
            phi[-1] = self.count + 1
        return phi

    def rows(self, phi: Ids) -> Ids:
        """[P] source rows that are in the slot once phi units were released, or all of them once the source has ended."""
        released = self.prefix + np.searchsorted(self.units, phi, side="left")
        return np.where(phi > self.count, len(self.source), released)


class Encoder:
    """The tokenizer of one checkpoint, and what limits it.

    positions: how many the model has, for each group; `config` gives the offset, the template and the system text.
    sounds: of a model that hears
    Raises CheckpointError for a tokenizer or template that cannot be served.
    """

    def __init__(self, tokenizer: Any, config: CheckpointConfig, positions: int, sounds: Sounds | None = None) -> None:
        self._sounds = sounds
        self._codec = SourceCodec(tokenizer)
        self._starts = np.array(word_starts(tokenizer))
        self._frame = split(tokenizer, config.system, config.template)
        self.end = end_token(self._frame.end, tokenizer.eos_token_id)
        self.offset, self.positions = config.offset, positions

    def encode(
        self, example: Example, task: Task, where: str, carried: Example | None = None, rng: np.random.Generator | None = None
    ) -> Item:
        """`carried`: a sentence that the stream brought with it; it is left out where its tokens would not be the same alone.

        rng: changes a recording; without it, it is heard as it is. Raises InvalidValueError that names `where` and the example's id: no
        target, no source, text that is none, a recording that cannot be read, too many tokens.
        """
        try:
            if example.audio is not None:
                return self._encode(example, task, self._ears.hear(example.audio, rng))
            return self._encode(example, task) if carried is None else self._encode_behind(carried, example, task)
        except InvalidValueError as error:
            raise InvalidValueError(f"{where}, {example.id}: {error.message}", param="data") from None

    def check(self, example: Example, task: Task, where: str) -> None:
        """Raises what `encode` would. Only texts that might be too long are tokenised: no text has more tokens than thrice its bytes.

        Of recordings only the header is read.
        """
        target = example.references[0] if example.references else ""
        prompt = task.render(example.inputs, example.prompt)
        if example.audio is not None:
            self._check_heard(example, prompt, target, where)
            return
        texts = prompt + example.source, target
        try:
            longest = 3 * max(len(text.encode()) for text in texts)
        except UnicodeEncodeError:
            longest = self.positions
        around = len(self._frame.before) + len(self._frame.source_end) + len(self._frame.header) + 1
        if not (example.source.strip() and target.strip()) or longest + around > self.positions - self.offset:
            self.encode(example, task, where)

    def _check_heard(self, example: Example, prompt: str, target: str, where: str) -> None:
        assert example.audio is not None
        try:
            tokens = self._ears.at_most(example.audio)
            around = len(self._frame.before) + len(self._frame.source_end) + len(self._codec.encode(prompt).tokens)
            _check_length("source with its prompt", tokens + around, self.positions)
            if example.said is not None:
                self._target_ids((example.said,), SAID)
            written = len(self._frame.header) + len(self._target_ids((target,)))
            _check_length("header and target", written, self.positions - self.offset)
        except InvalidValueError as error:
            raise InvalidValueError(f"{where}, {example.id}: {error.message}", param="data") from None

    @property
    def _ears(self) -> Sounds:
        if self._sounds is None:
            raise InvalidValueError("expected a base that hears, or [audio] with an encoder, for a recording; got neither")
        return self._sounds

    def _encode_behind(self, carried: Example, example: Example, task: Task) -> Item:
        source, target = carried.source.strip(), carried.references[0].strip()
        whole = f"{source} {example.source}", f"{target} {example.references[0].strip()}"
        both = self._encode(replace(example, source=whole[0], references=whole[1:]), task)
        stream, written = self._codec.encode(source), self._target_ids((target,))
        begins = tuple(both.source[both.prefix :][: len(stream.tokens)]), both.target[: len(written)].tolist()
        if begins != (stream.tokens, written):
            return self._encode(example, task)
        asked = both.asked.copy()
        asked[len(written)] = True  # all was written at the seam, so that a decision precedes whatever comes next
        return replace(both, id=f"{carried.id}>{example.id}", asked=asked, carried=(stream.released, len(written)))

    def _encode(self, example: Example, task: Task, heard: Heard | None = None) -> Item:
        prompt = self._codec.encode(task.render(example.inputs, example.prompt)).tokens
        stream, units, count, closing = self._stream(example.source) if heard is None else _stand_ins(heard)
        target = np.array([*self._target_ids(example.references), self.end])
        source = np.array([*self._frame.before, *prompt, *stream, *closing, *self._frame.source_end])
        header = np.array(self._frame.header)
        _check_length("source with its prompt", len(source), self.positions)
        _check_length("header and target", len(header) + len(target) - 1, self.positions - self.offset)
        asked = np.ones(len(target), dtype=np.bool_) if task.gate == "token" else self._starts[target]
        asked[[0, -1]] = True
        return Item(
            id=example.id,
            source=source,
            prefix=len(self._frame.before) + len(prompt),
            units=np.array(units),
            count=count,
            header=header,
            target=target,
            asked=asked,
            forbid_end=task.forbid_end_before_source_end,
            mel=None if heard is None else heard.mel,
            said=None if example.said is None else np.array([*self._target_ids((example.said,), SAID), self.end]),
        )

    def _stream(self, text: str) -> tuple[Sequence[int], Sequence[int], int, Sequence[int]]:
        """Tokens, their units, M, and the tokens that only the source's end releases: blanks that no word follows."""
        bare = self._codec.encode(text.rstrip())
        if not bare.released:
            raise InvalidValueError("expected a source with at least one word; got none")
        whole = bare if text == text.rstrip() else self._codec.encode(text)
        size = len(bare.tokens)
        if whole.tokens[:size] == bare.tokens:
            return bare.tokens, bare.units, bare.released, whole.tokens[size:]
        # The last blanks are part of the last word's token ("!\n"), which is then released at the end as well.
        return whole.tokens, whole.units, whole.released, ()

    def _target_ids(self, references: Sequence[str], what: str = "a target") -> list[int]:
        text = references[0].strip() if references else ""
        if not text:
            raise InvalidValueError(f"expected {what}; got none")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InvalidValueError(f"expected {what} without lone surrogates; got one at {error.start}") from None
        return list(self._codec.plain(text))


def _stand_ins(heard: Heard) -> tuple[Sequence[int], Sequence[int], int, Sequence[int]]:
    return [0] * len(heard.units), heard.units.tolist(), heard.count, ()


def _check_length(what: str, length: int, limit: int) -> None:
    if length > limit:
        raise InvalidValueError(f"expected {what} within the model's {limit} positions; got {length} tokens")
