"""What the model shows of an item at every prefix: the signals of each probe, and whether it would write what the full view writes.

The full view's own greedy target is forced, so every probe has a right answer without any label. Drives the backbone and its slots;
knows no policy, no metric and no threshold.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch

from backbones.backbone import Backbone
from backbones.layout import SourceRun, TargetRow, Units
from backbones.loading import Checkpoint
from backbones.slots import Region
from engine.request import resolve
from errors import InvalidValueError
from evaluation import company
from evaluation.company import Ask
from evaluation.policies import Policy
from tasks import Task
from tasks.example import Example


@dataclass(frozen=True)
class Seen:
    """One probe: target token `index` with `phi` words visible.

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


class _Forced:
    """One item: first the full view writes its target, then every prefix is asked about each token of it."""

    def __init__(self, checkpoint: Checkpoint, task: str, number: int, example: Example, limits: Limits, reduce: Reduce) -> None:
        if example.audio is not None:
            raise InvalidValueError(f"item {example.id!r}: expected text, where every prefix is probed; got a recording")
        settings = resolve(checkpoint, Policy("full").request(task, example))
        encoded = checkpoint.codec.encode(example.source)
        self._spec: Task = checkpoint.config.tasks[task]
        self._number, self._checkpoint, self._reduce = number, checkpoint, reduce
        self._prefix, self._stream, self._units = settings.prefix, encoded.tokens, encoded.units
        self._words = encoded.released
        self._header = checkpoint.frame.header
        self._cap = min(limits.target_tokens, settings.rules.max_output_tokens)
        self._prefixes = _spread(self._words, limits.prefixes)
        self._full: list[int] = []  # what the full view writes, the end token too
        self._last: tuple[int, float, torch.Tensor | None] | None = None
        self.seen: list[Seen] = []

    @property
    def target_rows(self) -> int:
        return len(self._header) + self._cap

    @property
    def length(self) -> int:
        frame = self._checkpoint.frame
        return len(self._prefix) + len(self._stream) + len(frame.source_end) + self.target_rows

    def answer(self, token: int, nats: float, attention: torch.Tensor | None) -> None:
        self._last = token, nats, attention

    def asks(self, region: Region) -> Iterator[Ask]:
        """What is to be forwarded next; the answer to each probe has come when it goes on."""
        frame = self._checkpoint.frame
        everything = [*self._prefix, *self._stream, *frame.source_end]
        header = [TargetRow(region, i, token, visible=len(self._prefix)) for i, token in enumerate(self._header[:-1])]
        # Prompt and header first: their rows serve every view.
        yield [SourceRun(region, 0, everything)], [*header, self._row(region, len(everything), 0, self._words)]
        yield from self._full_view(region, len(everything))
        for phi in self._prefixes:
            yield from self._prefix_view(region, phi)

    def _full_view(self, region: Region, visible: int) -> Iterator[Ask]:
        for index in range(1, self._cap + 1):
            token = self._taken()[0]
            self._full.append(token)
            if token in self._checkpoint.frame.end or index == self._cap:
                return
            yield [], [self._row(region, visible, index, self._words)]

    def _prefix_view(self, region: Region, phi: int) -> Iterator[Ask]:
        visible = len(self._prefix) + sum(unit < phi for unit in self._units)
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
        shown = [unit for unit in self._units if unit < phi][first - len(self._prefix) :]
        return TargetRow(region, len(self._header) - 1 + index, token, visible, probe=True, units=Units(first, torch.tensor(shown), phi))

    def _taken(self) -> tuple[int, float, torch.Tensor | None]:
        assert self._last is not None
        last, self._last = self._last, None
        return last


def _spread(words: int, count: int) -> list[int]:
    """At most `count` prefixes of 1 .. words, evenly spread, the last word among them."""
    count = min(words, count)
    return sorted({round((i + 1) * words / count) for i in range(count)}) if count else []
