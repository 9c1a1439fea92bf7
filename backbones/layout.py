"""How the tokens of one tick are packed: which buffer row each fills, and which slice of rows each query sees.

Knows regions and integers; builds the tensors of a tick once, for all layers. Knows no model and no session.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from backbones.slots import Region


@dataclass(frozen=True)
class Units:
    """Where the source stream lies among a region's source rows, and which unit each of its tokens belongs to.

    of_token: [n] unit index of source rows first .. first + n - 1; `first` leaves out the prompt (or the sink, where there is none)
    count:    units visible (phi)
    """

    first: int
    of_token: torch.Tensor
    count: int


@dataclass(frozen=True)
class SourceRun:
    """Consecutive new source tokens of one session; the first has index `start` in its source group.

    heard: [m, hidden] audio tokens, in place of the embeddings of the m ids from `heard_at` on
    """

    region: Region
    start: int
    tokens: Sequence[int]
    heard: torch.Tensor | None = None
    heard_at: int = 0


@dataclass(frozen=True)
class TargetRun:
    """Consecutive new target tokens of one session, all of which see the first `visible` source rows; the first has index `start`."""

    region: Region
    start: int
    tokens: Sequence[int]
    visible: int


@dataclass(frozen=True)
class TargetRow:
    """One target token. It sees target rows 0 .. index and the first `visible` source rows.

    A probe's output is wanted; `units` says so for its attention to the source too.
    """

    region: Region
    index: int
    token: int
    visible: int
    probe: bool = False
    units: Units | None = None


@dataclass(frozen=True)
class Query:
    """`count` packed tokens from `first` on, which attend to buffer rows [low, high).

    `mask` is additive, [group * count, high - low]: repeated for the query heads that share a key head, whose axis is folded into it.
    """

    first: int
    count: int
    low: int
    high: int
    mask: torch.Tensor | None = None


@dataclass(frozen=True)
class Padded:
    """The queries of a tick as one batch of B, padded to n tokens and W keys.

    keys: [B, W] buffer rows; packed: [B, n] packed tokens; valid: [B, n]; mask: [B, 1, group * n, W]
    """

    keys: torch.Tensor
    packed: torch.Tensor
    valid: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class Tap:
    """Attention that is wanted: of the probe `probe`, packed at `row`, over buffer rows [low, high); the stream begins at `column`."""

    probe: int
    row: int
    low: int
    high: int
    column: int
    units: Units


@dataclass(frozen=True)
class Taps:
    """The taps of a tick as one batch of B, padded to W keys, for the heads whose attention is kept.

    packed: [B] packed rows of the probes; keys: [B * W] buffer rows; mask: [B, W, 1] additive, float32
    weights: [B, W, 1] attention summed over the tapped (layer, head) pairs, or [B, W, pairs], each for itself; tapped layers fill it
    """

    packed: torch.Tensor
    keys: torch.Tensor
    mask: torch.Tensor
    weights: torch.Tensor


@dataclass(frozen=True)
class Layout:
    """One tick: N packed tokens, P of them probes. The last `spare` of them are nobody's, and attend to nothing.

    tokens, positions: [1, N]; rows: [N] buffer rows they fill; probes: [P] packed rows of the probes, in the order given
    group, dtype: query heads that share a key head, and the type of the masks
    tap_columns: 1 if tapped attention is summed over the pairs, else the number of pairs
    heard: (packed row, [m, hidden]): embeddings that stand there in place of the ids'
    """

    tokens: torch.Tensor
    positions: torch.Tensor
    rows: torch.Tensor
    probes: torch.Tensor
    queries: tuple[Query, ...]
    tapped: tuple[Tap, ...]
    group: int
    dtype: torch.dtype
    spare: int = 0
    tap_columns: int = 1
    heard: tuple[tuple[int, torch.Tensor], ...] = ()

    @cached_property
    def padded(self) -> Padded:
        """Built once a tick, for devices that attend in one call."""
        return _pad(self)

    @cached_property
    def taps(self) -> Taps:
        """Built once a tick, if a probe's attention is wanted."""
        return _batch_taps(self)


def pack(  # noqa: PLR0913 (all of a tick)
    runs: Sequence[SourceRun | TargetRun],
    targets: Sequence[TargetRow],
    *,
    offset: int,
    group: int,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    scratch: int | None = None,
    at_least: int = 0,
    tap_columns: int = 1,
) -> Layout:
    """Packs a tick: at most one probe a region, which sees everything up to the end of the run that comes with it.

    `offset` is the first position of the target group; `group` and `dtype` are for the masks. With `scratch`, a row that is nobody's,
    the tick is filled up to one of a few sizes, none below that of `at_least`.
    """
    probes = [target for target in targets if target.probe]
    packing = _Packing({target.region: i for i, target in enumerate(probes)}, offset, group, dtype, device)
    alone = {target.region: target for target in probes}
    for run in runs:
        if isinstance(run, TargetRun):
            packing.target_run(run)
            continue
        # A run and the probe that follows it share their keys: one query over both reads them from memory once (docs/log.md).
        packing.run(run, alone.pop(run.region, None))
    for target in targets:
        if not target.probe or target.region in alone:
            packing.target(target)
    return packing.layout(scratch, at_least, tap_columns)


def round_size(count: int) -> int:
    """The size that `count` rows are filled up to: a power of two, or a multiple of 16, then of 64, then of 512; 0 stays 0.

    oneDNN makes a kernel for every number of rows it meets, in milliseconds and half a megabyte each: sizes must be few (docs/log.md).
    """
    if count <= 16:
        return 1 << (count - 1).bit_length() if count else 0
    step = 16 if count <= 128 else 64 if count <= 1024 else 512
    return -(-count // step) * step


class _Packing:
    """What `pack` has packed so far."""

    def __init__(self, order: Mapping[Region, int], offset: int, group: int, dtype: torch.dtype, device: torch.device | str) -> None:
        self.order, self.offset, self.group, self.dtype, self.device = order, offset, group, dtype, device
        self.tokens: list[int] = []
        self.positions: list[int] = []
        self.rows: list[int] = []
        self.queries: list[Query] = []
        self.probes = [0] * len(order)
        self.tapped: list[Tap] = []
        self.heard: list[tuple[int, torch.Tensor]] = []

    def run(self, run: SourceRun, probe: TargetRow | None) -> None:
        first, count, region = len(self.tokens), len(run.tokens), run.region
        if run.heard is not None:
            self.heard.append((first + run.heard_at, run.heard))
        self.tokens.extend(run.tokens)
        self.positions.extend(range(run.start, run.start + count))
        self.rows.extend(range(region.source_row(run.start), region.source_row(run.start) + count))
        before = 0 if probe is None else probe.index + 1  # target rows, which lie left of the source and are hidden from it
        mask = None
        if probe is not None or count > 1:
            # Causal from the bottom right corner, which `is_causal` of SDPA is not; a single token needs no mask at all.
            mask = torch.full((count, before + run.start + count), float("-inf"), dtype=self.dtype, device=self.device)
            mask = mask.triu(before + run.start + 1)
            mask[:, :before] = float("-inf")
            if probe is not None:
                mask = torch.cat([mask, mask.new_zeros(1, mask.shape[1])])
            mask = mask.repeat(self.group, 1)
        query = Query(first, count + (probe is not None), region.mid - before, region.source_row(run.start + count), mask)
        self.queries.append(query)
        if probe is not None:
            self._row(probe, query.low, query.high)

    def target_run(self, run: TargetRun) -> None:
        first, count = len(self.tokens), len(run.tokens)
        low, high = run.region.target_row(run.start + count - 1), run.region.source_row(run.visible)
        # Target rows lie from right to left: the newest is the first key, and each token is blind to those left of its own.
        mask = torch.full((count, high - low), float("-inf"), dtype=self.dtype, device=self.device).tril(-1).flip(0)
        self.queries.append(Query(first, count, low, high, mask.repeat(self.group, 1) if count > 1 else None))
        for index, token in enumerate(run.tokens, run.start):
            self._place(run.region, index, token)

    def target(self, target: TargetRow) -> None:
        low, high = target.region.target_row(target.index), target.region.source_row(target.visible)
        self.queries.append(Query(len(self.tokens), 1, low, high))
        self._row(target, low, high)

    def _row(self, target: TargetRow, low: int, high: int) -> None:
        row = len(self.tokens)
        if target.units is not None and target.units.count:
            column = target.region.source_row(target.units.first) - low
            self.tapped.append(Tap(self.order[target.region], row, low, high, column, target.units))
        if target.probe:
            self.probes[self.order[target.region]] = row
        self._place(target.region, target.index, target.token)

    def _place(self, region: Region, index: int, token: int) -> None:
        self.tokens.append(token)
        self.positions.append(self.offset + index)
        self.rows.append(region.target_row(index))

    def layout(self, scratch: int | None, at_least: int, tap_columns: int) -> Layout:
        spare = 0 if scratch is None else round_size(max(len(self.tokens), at_least)) - len(self.tokens)
        self.tokens.extend([0] * spare)
        self.positions.extend([0] * spare)
        self.rows.extend([scratch or 0] * spare)
        return Layout(
            tokens=torch.tensor([self.tokens], device=self.device),
            positions=torch.tensor([self.positions], device=self.device),
            rows=torch.tensor(self.rows, device=self.device),
            probes=torch.tensor(self.probes, dtype=torch.long, device=self.device),
            queries=tuple(self.queries),
            tapped=tuple(self.tapped),
            group=self.group,
            dtype=self.dtype,
            spare=spare,
            tap_columns=tap_columns,
            heard=tuple(self.heard),
        )


def _pad(layout: Layout) -> Padded:
    queries, device = layout.queries, layout.tokens.device
    batch = len(queries)
    longest, widest = max(q.count for q in queries), max(q.high - q.low for q in queries)
    keys = torch.zeros((batch, widest), dtype=torch.long)
    packed = torch.zeros((batch, longest), dtype=torch.long)
    valid = torch.zeros((batch, longest), dtype=torch.bool)
    mask = torch.full((batch, longest, widest), float("-inf"), dtype=layout.dtype)
    for b, query in enumerate(queries):
        length = query.high - query.low
        # Padding points at the query's own first key, never at another session's row, whose NaN would come through a zero weight.
        keys[b] = query.low
        keys[b, :length] = torch.arange(query.low, query.high)
        packed[b] = query.first
        packed[b, : query.count] = torch.arange(query.first, query.first + query.count)
        valid[b, : query.count] = True
        mask[b, query.count :, 0] = 0.0  # a padded token must see something, or its softmax is NaN
        mask[b, : query.count, :length] = 0.0 if query.mask is None else query.mask[: query.count].cpu()
    folded = mask.repeat(1, layout.group, 1)[:, None]
    return Padded(keys.to(device), packed.to(device), valid.to(device), folded.to(device))


def _batch_taps(layout: Layout) -> Taps:
    device, taps = layout.tokens.device, layout.tapped
    low = torch.tensor([tap.low for tap in taps])[:, None]
    length = torch.tensor([tap.high - tap.low for tap in taps])[:, None]
    column = torch.arange(int(length.max()))[None]
    outside = column >= length  # [B, W]
    keys = low + torch.where(outside, 0, column)
    mask = torch.zeros(outside.shape).masked_fill(outside, float("-inf"))[..., None]
    packed = torch.tensor([tap.row for tap in taps], device=device)
    return Taps(packed, keys.flatten().to(device), mask.to(device), torch.zeros((*outside.shape, layout.tap_columns), device=device))
