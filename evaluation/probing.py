"""What the model shows of an item at every prefix: the signals of each probe, and whether it would write what the full view writes.

Prefixes end at words, or where a session would decide about a recording. The full view's own greedy target is forced, so every probe has a
right answer without any label. Drives the backbone and its slots; knows no policy, no metric and no threshold.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from backbones.audio_encoder import Piece
from backbones.audio_file import read
from backbones.audio_input import AudioInput
from backbones.backbone import Backbone
from backbones.layout import SourceRun, TargetRow, Units
from backbones.loading import Checkpoint
from backbones.slots import Region
from engine.request import resolve
from engine.rows import NO_ID
from evaluation import company
from evaluation.company import Ask
from evaluation.policies import AUDIO, Policy, source_units
from tasks import Task
from tasks.example import Example


@dataclass(frozen=True)
class Seen:
    """One probe: target token `index` with `phi` units visible: words, or audio tokens, as heads count them.

    agrees:    its most probable token is the one that the full view writes
    entropy:   nats, of the next-token distribution
    attention: what `reduce` made of [phi, pairs], the attention to each source unit per (layer, head) pair in ascending order
    """

    item: int
    phi: int
    index: int
    agrees: bool
    entropy: float
    attention: torch.Tensor


@dataclass(frozen=True)
class Limits:
    """How much of an item is looked at: prefixes are spread evenly over the source, target tokens are taken from its start."""

    prefixes: int = 16
    target_tokens: int = 8


Reduce = Callable[[torch.Tensor], torch.Tensor]


def mean_of_pairs(attention: torch.Tensor) -> torch.Tensor:
    """[phi, pairs] -> [phi], which is what heads get."""
    return attention.mean(dim=1)


def peak_of_each_pair(attention: torch.Tensor) -> torch.Tensor:
    """[phi, pairs] -> [pairs], from which pairs are selected; all of it for every pair would fill the memory."""
    return attention.amax(dim=0)


def probe_items(
    checkpoint: Checkpoint,
    backbone: Backbone,
    task: str,
    examples: Sequence[Example],
    limits: Limits,
    *,
    reduce: Reduce = mean_of_pairs,
    slots: int = 16,
) -> Iterator[list[Seen]]:
    """The probes of each item, items in the order in which they end, `slots` at a time.

    `backbone` may tap other pairs than the checkpoint's own. Raises InvalidValueError for an item longer than its positions.
    """
    forced = [_Forced(checkpoint, task, number, example, limits, reduce) for number, example in enumerate(examples)]
    for item in company.run(backbone, forced, slots=slots, each_pair=True):
        yield item.seen


@dataclass(frozen=True)
class _Source:
    """A stream's tokens, the unit of each, phi at each prefix that a session would be asked at, and what stands in place of embeddings."""

    tokens: Sequence[int]
    units: Sequence[int]
    steps: Sequence[int]
    heard: torch.Tensor | None = None


class _Forced:
    """One item: first the full view writes its target, then every prefix is asked about each token of it."""

    def __init__(self, checkpoint: Checkpoint, task: str, number: int, example: Example, limits: Limits, reduce: Reduce) -> None:
        settings = resolve(checkpoint, Policy("full").request(task, example))
        self._spec: Task = checkpoint.config.tasks[task]
        self._number, self._checkpoint, self._reduce = number, checkpoint, reduce
        self._example, self._prefix, self._limits = example, settings.prefix, limits
        # A recording is encoded when its turn comes: the audio tokens of all of them are too many to keep.
        self._source = _Source((), (), ()) if example.audio is not None else _words(checkpoint, example)
        self._rows = len(self._source.tokens) if example.audio is None else source_units(example) + 1
        self._header = checkpoint.frame.header
        self._cap = min(limits.target_tokens, settings.rules.max_output_tokens)
        self._full: list[int] = []  # what the full view writes, the end token too
        self._last: tuple[int, float, torch.Tensor | None] | None = None
        self.seen: list[Seen] = []

    @property
    def target_rows(self) -> int:
        return len(self._header) + self._cap

    @property
    def length(self) -> int:
        frame = self._checkpoint.frame
        return len(self._prefix) + self._rows + len(frame.source_end) + self.target_rows

    def answer(self, token: int, nats: float, attention: torch.Tensor | None) -> None:
        self._last = token, nats, attention

    def asks(self, region: Region) -> Iterator[Ask]:
        """What is to be forwarded next; the answer to each probe has come when it goes on."""
        frame = self._checkpoint.frame
        if self._example.audio is not None:
            self._source = _sound(self._checkpoint, self._example.audio)
        source, steps = self._source, self._source.steps
        everything = [*self._prefix, *source.tokens, *frame.source_end]
        whole = steps[-1] if steps else 0
        header = [TargetRow(region, i, token, visible=len(self._prefix)) for i, token in enumerate(self._header[:-1])]
        # Prompt and header first: their rows serve every view.
        yield [SourceRun(region, 0, everything, source.heard, len(self._prefix))], [*header, self._row(region, len(everything), 0, whole)]
        yield from self._full_view(region, len(everything), whole)
        for step in _spread(len(steps), self._limits.prefixes):
            yield from self._prefix_view(region, steps[step - 1])
        self._source = _Source((), (), ())

    def _full_view(self, region: Region, visible: int, whole: int) -> Iterator[Ask]:
        for index in range(1, self._cap + 1):
            token = self._taken()[0]
            self._full.append(token)
            if token in self._checkpoint.frame.end or index == self._cap:
                return
            yield [], [self._row(region, visible, index, whole)]

    def _prefix_view(self, region: Region, phi: int) -> Iterator[Ask]:
        visible = len(self._prefix) + sum(unit < phi for unit in self._source.units)
        for index, expected in enumerate(self._full):
            yield [], [self._row(region, visible, index, phi)]
            token, nats, attention = self._taken()
            if attention is not None and self._is_gated(index, expected):
                self.seen.append(Seen(self._number, phi, index, token == expected, nats, self._reduce(attention)))

    def _is_gated(self, index: int, expected: int) -> bool:
        """False where no head is asked: inside a begun word under the word gate, and at an end that the task forbids."""
        if expected in self._checkpoint.frame.end:
            return not self._spec.forbid_end_before_source_end
        return self._spec.gate == "token" or index == 0 or self._checkpoint.word_starts[expected]

    def _row(self, region: Region, visible: int, index: int, phi: int) -> TargetRow:
        token = self._header[-1] if index == 0 else self._full[index - 1]
        first = max(len(self._prefix), 1)
        shown = [unit for unit in self._source.units if unit < phi][first - len(self._prefix) :]
        return TargetRow(region, len(self._header) - 1 + index, token, visible, probe=True, units=Units(first, torch.tensor(shown), phi))

    def _taken(self) -> tuple[int, float, torch.Tensor | None]:
        assert self._last is not None
        last, self._last = self._last, None
        return last


def _words(checkpoint: Checkpoint, example: Example) -> _Source:
    encoded = checkpoint.codec.encode(example.source)
    return _Source(encoded.tokens, encoded.units, range(1, encoded.released + 1))


def _sound(checkpoint: Checkpoint, path: Path) -> _Source:
    """As a session hears it: every audio token is a unit, and a decision is due after `decision_ms` of them, and at the end, once one of
    them has reached the backbone."""
    encoder = checkpoint.encoder
    assert encoder is not None
    heard, state = AudioInput(AUDIO, bins=encoder.config.bins, floor=encoder.config.mel_floor), encoder.open()
    pieces = (Piece(state, heard.push(read(path).numpy().tobytes())), Piece(state, heard.end(), last=True))
    first, last = (encoder.encode([piece])[0] for piece in pieces)
    tokens, every = first + last, checkpoint.config.decision_ms // encoder.config.token_ms
    count, units = len(tokens.kept), [unit for unit, kept in enumerate(tokens.kept) if kept]
    steps = [step for step in (*range(every, count, every), count) if units and step > units[0]]
    return _Source([NO_ID] * len(units), units, steps, tokens.embeddings)


def _spread(steps: int, count: int) -> list[int]:
    """At most `count` of 1 .. steps, evenly spread, the last among them."""
    count = min(steps, count)
    return sorted({round((i + 1) * steps / count) for i in range(count)}) if count else []
