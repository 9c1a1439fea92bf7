"""Endless batches from several data sets: mixed by weight, shuffled by seed, similar lengths together, resumable to the same batches.

Knows examples, items and packed rows; knows no model, no optimizer and no device.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from errors import InvalidValueError, UnknownNameError
from tasks import Task
from tasks.data import read_data
from tasks.example import Example
from tasks.sentences import first_end, sentences
from training.budget import Budget, draw
from training.config import Data
from training.encoding import Encoder, Ids, Item
from training.objective import Loss
from training.views import Packed, pack

# Items that are drawn, encoded and sorted by length together. Recordings are kept as frames, 32 kB a second: fewer.
WINDOW, WINDOW_HEARD = 2048, 512


@dataclass(frozen=True)
class Part:
    """A data set with its items and its task."""

    settings: Data
    task: Task
    examples: Sequence[Example]

    @property
    def weight(self) -> float:
        """Its share of the items drawn, relative to the other parts'."""
        return self.settings.weight or len(self.examples)

    @property
    def heard(self) -> bool:
        """Whether there are recordings among its sources."""
        return any(example.audio is not None for example in self.examples)


def read(settings: Data, tasks: dict[str, Task]) -> Part:
    """Raises UnknownNameError for a task not among `tasks`, InvalidValueError for recordings to be joined, and what read_data raises."""
    if settings.task not in tasks:
        raise UnknownNameError("task", settings.task, tasks, param="data.task")
    found, most = read_data(settings.data, settings.task), settings.max_words
    short = [example for example in found if most is None or len(example.source.split()) <= most]
    if not short:
        raise InvalidValueError(f"expected an item of at most {most} words; got none in {settings.data}", param="data.max_words")
    part = Part(settings, tasks[settings.task], short[: settings.limit])
    if part.heard and (len(settings.join) > 1 or settings.carried):
        raise InvalidValueError(f"expected neither join nor carried for recordings; got one in {settings.data}", param="data")
    return part


@dataclass(frozen=True)
class Views:
    """How items become packed rows."""

    loss: Loss
    budget: Budget
    offset: int

    def pack(self, item: Item, rng: np.random.Generator) -> Packed:
        """With stream views along trajectories drawn by `rng`."""
        return pack(item, self.phis(item, rng), batch_view=self.loss.batch_view, offset=self.offset)

    def phis(self, item: Item, rng: np.random.Generator) -> list[Ids]:
        """[P] each: the trajectories of the stream views. They begin behind what is carried."""
        before, written = item.carried
        units, predictions = item.count + 1 - before, len(item.target) - written  # M + 1: the last unit is `source_end`
        drawn = [before + draw(self.budget, units, predictions, rng) for _ in range(self.loss.stream_views)]
        return [item.served(item.behind_carried(phi)) for phi in drawn]


class Mixture(Iterator[list[Packed]]):
    """Batches of at most `batch_tokens` packed rows, padding included; an example that is longer is a batch of its own.

    The n-th batch is a function of parts, encoder, views and seed alone.
    """

    def __init__(self, parts: Sequence[Part], encoder: Encoder, views: Views, *, seed: int, batch_tokens: int) -> None:
        self._parts, self._encoder, self._views, self._seed, self._budget = parts, encoder, views, seed, batch_tokens
        weights = np.array([part.weight for part in parts])
        self._weights = weights / weights.sum()
        self._size = WINDOW_HEARD if any(part.heard for part in parts) else WINDOW
        self._window, self._taken = -1, 0
        self._drawn = [0] * len(parts)  # items drawn of each part, before the window
        self._after = [0] * len(parts)  # and with it
        self._orders: dict[tuple[int, int], Ids] = {}  # (part, epoch) -> places in an order of their own
        self._batches: list[list[Packed]] = []

    def __next__(self) -> list[Packed]:
        if self._taken == len(self._batches):
            self._fill(self._window + 1, self._after)
        self._taken += 1
        return self._batches[self._taken - 1]

    def state(self) -> dict[str, Any]:
        """Where the mixture stands, as JSON values."""
        return {"window": self._window, "taken": self._taken, "drawn": self._drawn}

    def restore(self, state: dict[str, Any]) -> None:
        """The next batch is the one that would have come next when `state` was taken."""
        self._window, self._taken, self._batches, self._after = -1, 0, [], [0] * len(self._parts)
        if state["window"] >= 0:
            self._fill(state["window"], state["drawn"])
            self._taken = state["taken"]

    def _fill(self, window: int, drawn: Sequence[int]) -> None:
        self._window, self._taken, self._drawn, self._after = window, 0, list(drawn), list(drawn)
        rng = np.random.default_rng([self._seed, window])
        choices = rng.choice(len(self._parts), size=self._size, p=self._weights)
        packed = [self._views.pack(self._item(int(choice), rng), rng) for choice in choices]
        batches = cut(packed, self._budget)
        self._batches = [batches[place] for place in rng.permutation(len(batches))]

    def _item(self, choice: int, rng: np.random.Generator) -> Item:
        part = self._parts[choice]
        settings = part.settings
        count = 1 + int(rng.choice(len(settings.join), p=settings.join))
        examples = [self._next(choice) for _ in range(count)]
        blank = " " if rng.random() < settings.trailing_blank else ""
        # No number is drawn where nothing is carried: what was begun without it goes on to the same batches.
        carried = last_sentence(self._next(choice)) if settings.carried and rng.random() < settings.carried else None
        try:
            return self._encoder.encode(joined(examples, blank), part.task, settings.data, carried, rng)
        except InvalidValueError:
            if count == 1 and carried is None:
                raise
            # Each fits alone, as was checked at the start; together they are beyond the model's positions.
            return self._encoder.encode(examples[0], part.task, settings.data)

    def _next(self, choice: int) -> Example:
        examples = self._parts[choice].examples
        epoch, place = divmod(self._after[choice], len(examples))
        self._after[choice] += 1
        if (choice, epoch) not in self._orders:
            self._orders.pop((choice, epoch - 1), None)
            self._orders[choice, epoch] = np.random.default_rng([self._seed, choice, epoch]).permutation(len(examples))
        return examples[int(self._orders[choice, epoch][place])]


def cut(packed: Sequence[Packed], budget: int) -> list[list[Packed]]:
    """Batches of similar lengths: at most `budget` rows each, padding included, or one example."""
    batches: list[list[Packed]] = [[]]
    for example in sorted(packed, key=len):
        if batches[-1] and (len(batches[-1]) + 1) * len(example) > budget:
            batches.append([])
        batches[-1].append(example)
    return batches


def joined(examples: Sequence[Example], blank: str = "") -> Example:
    """Items of one task one behind the other; `blank` ends the source."""
    first = examples[0]
    return replace(
        first,
        id="+".join(example.id for example in examples),
        source=" ".join(example.source.strip() for example in examples) + blank,
        references=(" ".join(example.references[0].strip() for example in examples),),
    )


def last_sentence(example: Example) -> Example | None:
    """What a session would carry of an item that it has read and written to its end; None where the source does not end as a sentence.

    All of the item where its sides do not have as many sentences.
    """
    source, target = sentences(example.source.strip()), sentences(example.references[0].strip())
    if first_end(source[-1] + " ") is None:
        return None
    return replace(example, source=source[-1], references=(target[-1],)) if len(source) == len(target) else example


def check(parts: Sequence[Part], encoder: Encoder) -> None:
    """Raises what encoding any item of the parts would raise, so that no run ends in its third hour on a bad row."""
    for part in parts:
        for example in part.examples:
            encoder.check(example, part.task, part.settings.data)
