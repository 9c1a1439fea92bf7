"""Many items through the backbone side by side: each says which rows it wants next, and all of a tick are forwarded together.

Knows rows, slots and probes; knows no session, no policy and nothing of what an item asks for.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol, TypeVar

import torch

from backbones.backbone import Backbone, ProbeOutputs
from backbones.layout import SourceRun, TargetRow
from backbones.slots import KVSlots, Region
from engine.runner import entropy
from errors import InvalidValueError

# Rows to forward, with the run of source before them; of the rows at most one is a probe.
Ask = tuple[list[SourceRun], list[TargetRow]]


class Item(Protocol):
    """One item with a slot of its own, while it runs."""

    @property
    def target_rows(self) -> int:
        """Rows of its slot that are the target group's."""
        ...

    @property
    def length(self) -> int:
        """Rows that it needs in all."""
        ...

    def asks(self, region: Region) -> Iterator[Ask]:
        """What is to be forwarded next; `answer` was called for its probe, if it had one, when it goes on."""
        ...

    def answer(self, token: int, nats: float, attention: torch.Tensor | None) -> None:
        """The most probable token of the probe, its entropy, and its attention where that was asked for."""
        ...


I = TypeVar("I", bound=Item)  # noqa: E741 (an item)


def run(backbone: Backbone, items: Sequence[I], *, slots: int, each_pair: bool = False) -> Iterator[I]:
    """The items in the order in which they end, `slots` at a time; `each_pair` as in Backbone.forward.

    Raises InvalidValueError for an item longer than the model's positions.
    """
    length = max((item.length for item in items), default=2)
    if length > backbone.max_positions - backbone.offset:
        raise InvalidValueError(f"expected items of at most {backbone.max_positions - backbone.offset} tokens, got one of {length}")
    cache = backbone.slots(count=min(slots, max(len(items), 1)), length=length)
    yield from _run(backbone, cache, items, each_pair=each_pair)


def _run(backbone: Backbone, cache: KVSlots, items: Iterable[I], *, each_pair: bool) -> Iterator[I]:
    waiting = iter(items)
    running: list[tuple[I, Region, Iterator[Ask]]] = []
    while True:
        while cache.free and (item := next(waiting, None)) is not None:
            region = cache.acquire(item.target_rows)
            running.append((item, region, item.asks(region)))
        if not running:
            return
        asked = []
        for item, region, asks in list(running):
            ask = next(asks, None)
            if ask is None:
                cache.release(region)
                running = [other for other in running if other[0] is not item]
                yield item
            else:
                asked.append((item, ask))
        runs = [run for _, (source, _) in asked for run in source]
        rows = [row for _, (_, rows) in asked for row in rows]
        if rows or runs:
            _hand_out(asked, backbone.forward(cache, runs, rows, each_pair=each_pair))


def _hand_out(asked: Sequence[tuple[I, Ask]], out: ProbeOutputs) -> None:
    entropies = entropy(out.logits).tolist()
    best = out.logits.argmax(dim=-1).tolist()
    probes = [item for item, (_, rows) in asked if any(row.probe for row in rows)]
    for place, item in enumerate(probes):
        item.answer(best[place], entropies[place], out.attention.get(place))
