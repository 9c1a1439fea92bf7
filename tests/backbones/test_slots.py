"""Slots from a byte budget: counted, handed out once, never overlapping."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from backbones.slots import SCRATCH_ROWS, KVSlots, SlotShape
from errors import InvalidValueError, NoCapacityError

SHAPE = SlotShape(layers=2, kv_heads=2, head_dim=4, dtype=torch.bfloat16)


def test_bytes_per_row_is_the_formula() -> None:
    assert SHAPE.bytes_per_row() == 2 * 2 * 2 * 4 * 2


@given(budget=st.integers(0, 10_000), length=st.integers(2, 64))
def test_what_fits_in_the_budget_is_allocated_and_no_byte_more(budget: int, length: int) -> None:
    count = KVSlots.count_within(SHAPE, budget, length)
    row = SHAPE.bytes_per_row()
    assert count * length * row + SCRATCH_ROWS * row <= budget or count == 0
    assert (count + 1) * length * row + SCRATCH_ROWS * row > budget
    if count:
        slots = KVSlots(SHAPE, count=count, length=length)
        allocated = sum(buffer.numel() * buffer.element_size() for buffer in (*slots.key, *slots.value))
        assert allocated == (count * length + SCRATCH_ROWS) * row


@given(actions=st.lists(st.integers(0, 5), max_size=30))
def test_no_two_holders_share_a_row_and_none_reaches_scratch(actions: list[int]) -> None:
    slots = KVSlots(SHAPE, count=3, length=8)
    held = []
    for action in actions:
        if action < 3 and slots.free:
            held.append(slots.acquire(target_capacity=action + 1))
        elif held:
            slots.release(held.pop(action % len(held)))
        rows = [row for region in held for row in range(region.base, region.base + region.length)]
        assert len(rows) == len(set(rows))
        assert slots.scratch.base not in rows
        assert slots.free == 3 - len(held)


def test_a_region_grows_from_its_middle_both_ways() -> None:
    region = KVSlots(SHAPE, count=1, length=8).acquire(target_capacity=3)
    assert (region.target_capacity, region.source_capacity) == (3, 5)
    assert [region.target_row(i) for i in range(3)] == [2, 1, 0]
    assert [region.source_row(i) for i in range(5)] == [3, 4, 5, 6, 7]


def test_no_free_slot_is_a_refusal() -> None:
    slots = KVSlots(SHAPE, count=1, length=8)
    slots.acquire(2)
    with pytest.raises(NoCapacityError, match="1 of 1 in use") as refused:
        slots.acquire(2)
    assert refused.value.retry_after > 0


def test_a_slot_is_released_once() -> None:
    slots = KVSlots(SHAPE, count=1, length=8)
    region = slots.acquire(2)
    slots.release(region)
    with pytest.raises(InvalidValueError, match="released before"):
        slots.release(region)


def test_a_budget_below_one_slot_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="raise the KV budget"):
        KVSlots(SHAPE, count=0, length=8)
