"""KV slots: one buffer a layer, cut into equal slots, each holding both groups of a session around a middle (docs/adr/0001).

    [ … t2 t1 t0 | s0 s1 s2 … ]      target grows left from the middle, source grows right

Knows where rows lie. Knows nothing of tokens, of models or of who owns a slot.
"""

import math
from dataclasses import dataclass

import torch

from errors import InvalidValueError, NoCapacityError

# One row past the last slot, for the canary tick: it must never touch a session's memory.
SCRATCH_ROWS = 1


@dataclass(frozen=True)
class SlotShape:
    """Shape of the rows of one model: `layers` buffers each for keys and values, [rows, kv_heads, head_dim]."""

    layers: int
    kv_heads: int
    head_dim: int
    dtype: torch.dtype

    def bytes_per_row(self) -> int:
        """Bytes that one token takes over all layers: 2 x layers x kv_heads x d x dtype."""
        return 2 * self.layers * self.kv_heads * self.head_dim * self.dtype.itemsize


@dataclass(frozen=True)
class Region:
    """One session's part of the buffers: rows [base, base + length), target rows below `mid` and source rows from it on.

    `base` and `mid` are absolute row numbers.
    """

    base: int
    mid: int
    length: int

    @property
    def source_capacity(self) -> int:
        """Rows for the source group: prompt, stream and source end."""
        return self.base + self.length - self.mid

    @property
    def target_capacity(self) -> int:
        """Rows for the target group: header and target."""
        return self.mid - self.base

    def source_row(self, index: int) -> int:
        """Absolute row of source token `index`."""
        return self.mid + index

    def target_row(self, index: int) -> int:
        """Absolute row of target token `index`; the header's rows come first."""
        return self.mid - 1 - index


class KVSlots:
    """All slots of one model, allocated once. `key[layer]` and `value[layer]` are [rows, kv_heads, head_dim]."""

    def __init__(self, shape: SlotShape, *, count: int, length: int, device: torch.device | str = "cpu") -> None:
        if count < 1 or length < 2:
            raise InvalidValueError(f"expected at least one slot of two rows, got {count} of {length}; raise the KV budget")
        self.shape, self.count, self.length = shape, count, length
        rows = count * length + SCRATCH_ROWS
        size = (rows, shape.kv_heads, shape.head_dim)
        # Not torch.empty: a page that was never touched is no memory yet, and would be found missing in mid-session.
        self.key = [torch.zeros(size, dtype=shape.dtype, device=device) for _ in range(shape.layers)]
        self.value = [torch.zeros(size, dtype=shape.dtype, device=device) for _ in range(shape.layers)]
        self.scratch = Region(base=rows - SCRATCH_ROWS, mid=rows - SCRATCH_ROWS, length=SCRATCH_ROWS)
        self._free = list(range(count))

    @staticmethod
    def count_within(shape: SlotShape, budget: int, length: int) -> int:
        """How many slots of `length` rows fit in `budget` bytes."""
        return max(0, math.floor((budget - SCRATCH_ROWS * shape.bytes_per_row()) / (length * shape.bytes_per_row())))

    @property
    def free(self) -> int:
        """Slots that nobody holds."""
        return len(self._free)

    def acquire(self, target_capacity: int, length: int | None = None) -> Region:
        """A region whose middle leaves `target_capacity` rows to the target. Raises NoCapacityError, never allocates.

        length: rows of the slot that are used; all of them by default.
        """
        if not self._free:
            raise NoCapacityError(f"expected a free slot, got {self.count} of {self.count} in use", retry_after=1.0)
        base = self._free.pop() * self.length
        return Region(base=base, mid=base + target_capacity, length=length or self.length)

    def release(self, region: Region) -> None:
        """Gives a region back. Its rows keep their values: no slice of a later session reaches a row that it did not write."""
        slot = region.base // self.length
        if slot in self._free:
            raise InvalidValueError(f"expected slot {slot} to be in use, got one that was released before")
        self._free.append(slot)
