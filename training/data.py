"""Endless batches from several data sets: mixed by weight, shuffled by seed, similar lengths together, resumable to the same batches.

Knows examples, items and packed rows; knows no model, no optimizer and no device.
"""

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

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
    """Raises UnknownNameError for a task not among `tasks`, InvalidValueError for recordings with options of texts, and as read_data."""
    if settings.task not in tasks:
        raise UnknownNameError("task", settings.task, tasks, param="data.task")
    found, most = read_data(settings.data, settings.task), settings.max_words
    short = [example for example in found if most is None or len(example.source.split()) <= most]
    if not short:
        raise InvalidValueError(f"expected an item of at most {most} words; got none in {settings.data}", param="data.max_words")
    part = Part(settings, tasks[settings.task], short[: settings.limit])
    if part.heard and (len(settings.join) > 1 or settings.carried or most):
        raise InvalidValueError(f"expected none of join, carried and max_words for recordings; got one in {settings.data}", param="data")
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


@dataclass(frozen=True)
class _Drawn:
    """One item to be made: of which part, the places in its order of the examples to be joined and of the one whose last sentence is
    carried, and whether it ends in a blank."""

    part: int
    places: tuple[int, ...]
    carried: int | None
    blank: bool


@dataclass(frozen=True)
class Window:
    """What is drawn together. drawn: how many examples of each part were drawn before."""

    number: int
    drawn: tuple[int, ...]


class Windows(Dataset[list[list[Packed]]]):
    """Window -> its batches: a function of parts, encoder, views, seed and the window alone, in whichever process."""

    def __init__(self, parts: Sequence[Part], encoder: Encoder, views: Views, *, seed: int, batch_tokens: int) -> None:
        self._parts, self._encoder, self._views, self._seed, self._budget = parts, encoder, views, seed, batch_tokens
        weights = np.array([part.weight for part in parts])
        self._weights = weights / weights.sum()
        self._size = WINDOW_HEARD if any(part.heard for part in parts) else WINDOW
        self._orders: dict[int, tuple[int, Ids]] = {}  # part -> the epoch that it is in, and the order of its examples there

    def __getitem__(self, window: Window) -> list[list[Packed]]:
        items, rng = self._draw(window), np.random.default_rng([self._seed, window.number, 1])
        batches = cut([self._views.pack(self._item(item, rng), rng) for item in items], self._budget)
        return [batches[place] for place in rng.permutation(len(batches))]

    def behind(self, window: Window) -> Window:
        """The next one. Cheap: nothing is encoded."""
        taken = Counter[int]()
        for item in self._draw(window):
            taken[item.part] += len(item.places) + (item.carried is not None)
        return Window(window.number + 1, tuple(before + taken[part] for part, before in enumerate(window.drawn)))

    def _draw(self, window: Window) -> list[_Drawn]:
        rng, after = np.random.default_rng([self._seed, window.number]), list(window.drawn)

        def take(part: int, count: int) -> tuple[int, ...]:
            after[part] += count
            return tuple(range(after[part] - count, after[part]))

        drawn = []
        for part in rng.choice(len(self._parts), size=self._size, p=self._weights).tolist():
            settings = self._parts[part].settings
            places = take(part, 1 + int(rng.choice(len(settings.join), p=settings.join)))
            blank, carries = rng.random() < settings.trailing_blank, rng.random() < settings.carried
            drawn.append(_Drawn(part, places, take(part, 1)[0] if carries else None, blank))
        return drawn

    def _item(self, drawn: _Drawn, rng: np.random.Generator) -> Item:
        part = self._parts[drawn.part]
        examples = [self._example(drawn.part, place) for place in drawn.places]
        carried = None if drawn.carried is None else last_sentence(self._example(drawn.part, drawn.carried))
        try:
            whole = joined(examples, " " if drawn.blank else "")
            return self._encoder.encode(whole, part.task, part.settings.data, carried, rng)
        except InvalidValueError:
            if len(examples) == 1 and carried is None:
                raise
            # Each fits alone, as was checked at the start; together they are beyond the model's positions.
            return self._encoder.encode(examples[0], part.task, part.settings.data)

    def _example(self, part: int, drawn: int) -> Example:
        examples = self._parts[part].examples
        epoch, place = divmod(drawn, len(examples))
        if part not in self._orders or self._orders[part][0] != epoch:
            self._orders[part] = epoch, np.random.default_rng([self._seed, part, epoch]).permutation(len(examples))
        return examples[int(self._orders[part][1][place])]


class Mixture(Iterator[list[Packed]]):
    """Batches of at most `batch_tokens` packed rows, padding included; an example that is longer is a batch of its own.

    The n-th batch is a function of parts, encoder, views and seed alone.
    workers: processes that make windows ahead; 0: made here, when due
    """

    def __init__(self, parts: Sequence[Part], encoder: Encoder, views: Views, *, seed: int, batch_tokens: int, workers: int = 0) -> None:
        self._windows = Windows(parts, encoder, views, seed=seed, batch_tokens=batch_tokens)
        self._workers = workers
        self._batches: list[list[Packed]] = []
        self._taken = 0
        self._ahead: deque[Window] = deque()  # handed out and not begun
        self._made: Iterator[list[list[Packed]]]
        self._begin(Window(0, (0,) * len(parts)))

    def __next__(self) -> list[Packed]:
        if self._taken == len(self._batches):
            self._batches, self._taken = next(self._made), 0
            self._window = self._ahead.popleft()
        self._taken += 1
        return self._batches[self._taken - 1]

    def state(self) -> dict[str, Any]:
        """Where the mixture stands, as JSON values."""
        return {"window": self._window.number, "taken": self._taken, "drawn": list(self._window.drawn)}

    def restore(self, state: dict[str, Any]) -> None:
        """The next batch is the one that would have come next when `state` was taken."""
        self._begin(Window(state["window"], tuple(state["drawn"])))
        if state["taken"]:
            next(self)
            self._taken = state["taken"]

    def _begin(self, window: Window) -> None:
        self._window, self._taken, self._batches = window, 0, []
        self._ahead.clear()
        loader = DataLoader(
            self._windows,
            batch_size=None,
            sampler=self._following(window),
            collate_fn=_as_it_is,
            num_workers=self._workers,
            # A fork would inherit the threads of torch and of the tokenizer, and a device in use.
            multiprocessing_context="spawn" if self._workers else None,
            generator=torch.Generator(),  # or it would draw from the model's
        )
        self._made = _when_asked(loader)

    def _following(self, window: Window) -> Iterator[Window]:
        while True:
            self._ahead.append(window)
            yield window
            window = self._windows.behind(window)


def _when_asked(loader: DataLoader[list[list[Packed]]]) -> Iterator[list[list[Packed]]]:
    """Processes are started when the first batch is asked for: a run that goes on has told by then where."""
    yield from loader


def _as_it_is(batches: list[list[Packed]]) -> list[list[Packed]]:
    return batches


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
