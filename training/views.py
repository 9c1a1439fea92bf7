"""Packs an example into one sequence `[source | header | batch view | stream view x K]` under one mask: the source is encoded once.

Knows items and integers; the offline truth that every view must equal is backbones.visibility. Knows no model and no loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from training.augmentation import Mel
from training.encoding import Ids, Item

# What a row is part of: copies are numbered from 1 on. Rows of the header before the last see the prompt only, in every view, so all
# copies share them.
_PADDING, _SOURCE, _SHARED = -2, -1, 0


@dataclass(frozen=True)
class Packed:
    """One example: N rows, C copies of the target with P rows each, one a prediction.

    limit: [N] source rows that a row sees; copy: [N] what it is part of; step: [N] its place in the target group, -1 in the source
    first: the first row of the first copy; from it on the copies follow one another
    target: [P] the tokens to be predicted; the first `carried` of them bear no loss
    text_tokens: of source and target, each once
    mel: [frames, bins] of a source that is heard; its audio tokens take the rows `heard`
    ends: of each audio token, how many source rows are visible at the decision point behind it
    said: tokens of what is said in it and the end token: the predictions that bear a loss, unless the item knows better
    """

    id: str
    tokens: Ids
    positions: Ids
    limit: Ids
    copy: Ids
    step: Ids
    first: int
    target: Ids
    text_tokens: int
    said: Ids
    carried: int
    mel: Mel | None
    heard: range
    ends: Ids

    @property
    def predictions(self) -> int:
        """How many bear a loss, in each copy."""
        return len(self.target) - self.carried

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Batch:
    """B examples padded to N rows; R predictions that bear a loss in all, each of them made in C copies.

    tokens, positions, limit, copy, step: [B, N]; rows: [C, R] where in [B * N] each copy makes each prediction; labels: [R]
    mels: of the examples that are heard; heard: [T] where in [B * N] their audio tokens go, one example after the other
    ends: [T] how many source rows are visible at the decision point behind each audio token
    said: [S] what is said in each, the end token behind it
    units, spelled: of each example, its audio tokens (0 for a text), and how many of S are its own
    """

    ids: tuple[str, ...]
    tokens: torch.Tensor
    positions: torch.Tensor
    limit: torch.Tensor
    copy: torch.Tensor
    step: torch.Tensor
    rows: torch.Tensor
    labels: torch.Tensor
    mels: tuple[torch.Tensor, ...]
    heard: torch.Tensor
    ends: torch.Tensor
    said: torch.Tensor
    units: tuple[int, ...]
    spelled: tuple[int, ...]

    def to(self, device: torch.device) -> "Batch":
        """The same on another device, but for `mels`, which the encoder moves."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in vars(self).items() if isinstance(value, torch.Tensor)}
        return replace(self, **moved)

    def mask(self) -> torch.Tensor:
        """[B, 1, N, N] bool: True where a row (second to last axis) sees another (last axis)."""
        index = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        source = (self.copy == _SOURCE)[:, None] & (index < self.limit[..., None])
        own = (self.copy[:, None] == _SHARED) | (self.copy[:, None] == self.copy[..., None])
        own &= (self.copy != _SOURCE)[:, None]
        # Padding sees padding: a row that sees nothing has a softmax of NaN.
        return (source | (own & (self.step[:, None] <= self.step[..., None])))[:, None]


def pack(item: Item, phis: Sequence[Ids], *, batch_view: bool, offset: int) -> Packed:
    """One copy that sees everything if `batch_view`, then one for each of `phis` ([P], units, as Item.served gives them)."""
    size, shared, predictions = len(item.source), len(item.header) - 1, len(item.target)
    full = item.behind_carried(np.full(predictions - item.carried[1], item.count + 1))
    visible = [item.rows(phi) for phi in [full] * batch_view + list(phis)]
    copies = len(visible)
    written = np.concatenate([item.header[-1:], item.target[:-1]])
    steps = np.concatenate([np.arange(shared), np.tile(np.arange(shared, shared + predictions), copies)])
    source, heard = np.arange(size), item.units if item.mel is not None else item.units[:0]
    return Packed(
        id=item.id,
        tokens=np.concatenate([item.source, item.header[:-1], np.tile(written, copies)]),
        positions=np.concatenate([source, offset + steps]),
        limit=np.concatenate([source + 1, np.full(shared, item.prefix), *visible]),
        copy=np.concatenate([np.full(size, _SOURCE), np.full(shared, _SHARED), np.arange(1, copies + 1).repeat(predictions)]),
        step=np.concatenate([np.full(size, -1), steps]),
        first=size + shared,
        target=item.target,
        text_tokens=size + predictions,
        said=item.target[item.carried[1] :] if item.said is None else item.said,
        carried=item.carried[1],
        mel=item.mel,
        heard=range(item.prefix, item.prefix + len(heard)),
        ends=item.rows(heard + 1),
    )


def collate(examples: Sequence[Packed]) -> Batch:
    """Pads to the longest. All examples must have the same number of copies."""
    width = max(map(len, examples))
    rows = [
        place * width + example.first + np.arange(len(example) - example.first).reshape(-1, len(example.target))[:, example.carried :]
        for place, example in enumerate(examples)
    ]
    return Batch(
        ids=tuple(example.id for example in examples),
        tokens=_padded([example.tokens for example in examples], 0),
        positions=_padded([example.positions for example in examples], 0),
        limit=_padded([example.limit for example in examples], 0),
        copy=_padded([example.copy for example in examples], _PADDING),
        step=_padded([example.step for example in examples], -1),
        rows=torch.from_numpy(np.concatenate(rows, axis=1)),
        labels=torch.from_numpy(np.concatenate([example.target[example.carried :] for example in examples])),
        mels=tuple(torch.from_numpy(example.mel) for example in examples if example.mel is not None),
        ends=torch.from_numpy(np.concatenate([example.ends for example in examples])),
        heard=torch.tensor([place * width + row for place, example in enumerate(examples) for row in example.heard], dtype=torch.long),
        said=torch.from_numpy(np.concatenate([example.said for example in examples])),
        units=tuple(len(example.heard) for example in examples),
        spelled=tuple(len(example.said) for example in examples),
    )


def without(batch: Batch, kept: torch.Tensor) -> Batch:
    """The batch without the audio tokens that are not `kept` [T]: what is behind them moves up, in rows and in positions.

    No decision precedes the first of them that is kept, so a prediction sees that at least. `units` and `ends` stay those of what is heard.
    """
    size, wide = batch.tokens.shape
    limit = torch.where(batch.copy > _SHARED, batch.limit.maximum(_least(batch, kept)[:, None]), batch.limit)
    stays = (batch.copy != _PADDING).flatten().index_copy(0, batch.heard, kept).view(size, wide)
    before = functional.pad(stays.cumsum(1), (1, 0))  # [B, N + 1] rows that stay before each
    width = int(before[:, -1].max())
    place = before[:, :-1] + width * torch.arange(size, device=before.device)[:, None]  # [B, N] in [B * width]

    def moved(values: torch.Tensor, fill: int) -> torch.Tensor:
        return values.new_full((size * width,), fill).index_copy(0, place[stays], values[stays]).view(size, width)

    return replace(
        batch,
        tokens=moved(batch.tokens, 0),
        positions=moved(torch.where(batch.copy == _SOURCE, before[:, :-1], batch.positions), 0),
        limit=moved(before.gather(1, limit), 0),
        copy=moved(batch.copy, _PADDING),
        step=moved(batch.step, -1),
        rows=place.flatten()[batch.rows],
        heard=place.flatten()[batch.heard[kept]],
    )


def _least(batch: Batch, kept: torch.Tensor) -> torch.Tensor:
    """[B] how many source rows are visible at the first decision point: all of them where nothing is kept, none of a text."""
    least, units = torch.zeros_like(batch.limit[:, 0]), list(batch.units)
    for place, (which, ends) in enumerate(zip(torch.split(kept, units), torch.split(batch.ends, units), strict=True)):
        if len(which):
            least[place] = ends[which][0] if which.any() else (batch.copy[place] == _SOURCE).sum()
    return least


def _padded(rows: Sequence[Ids], fill: int) -> torch.Tensor:
    out = np.full((len(rows), max(map(len, rows))), fill)
    for place, row in enumerate(rows):
        out[place, : len(row)] = row
    return torch.from_numpy(out)
