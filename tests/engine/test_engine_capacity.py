"""What an engine holds: slots from a byte budget, rows that nobody but their session touches, and refusals where there is no room."""

import pytest
import torch

from engine.engine import Engine, EngineConfig
from engine.request import Request
from errors import InvalidValueError, NoCapacityError, PromptTooLongError
from tests import tiny
from tests.engine.test_engine import REQUESTS, TEXT


def test_a_prompt_that_leaves_no_room_is_refused_before_a_slot_is_taken() -> None:
    engine = tiny.engine(slots=1, length=32)
    with pytest.raises(PromptTooLongError, match="32 tokens") as long:
        engine.open(Request("ask", inputs={"question": "dog " * 40}))
    assert long.value.param == "inputs"
    with pytest.raises(PromptTooLongError, match=r"; \d+ may be written") as much:
        engine.open(Request("words", max_output_tokens=1000))
    assert much.value.param == "max_output_tokens"
    assert engine.free_slots == 1
    room = int(much.value.message.split("; ")[-1].split()[0])
    assert engine.open(Request("words", max_output_tokens=room))


def test_closing_twice_and_closing_a_done_session_are_harmless() -> None:
    engine = tiny.engine(slots=2)
    session, other = engine.open(Request("echo")), engine.open(Request("echo"))
    engine.close(session)
    engine.close(session)
    assert engine.free_slots == 1
    again = engine.open(Request("echo"))  # takes the slot that was freed
    engine.close(session)
    assert engine.sessions == [other, again]


def test_no_slot_is_a_refusal_and_a_freed_slot_is_taken_again() -> None:
    engine = tiny.engine(slots=1)
    held = engine.open(Request("echo"))
    with pytest.raises(NoCapacityError, match="1 of 1"):
        engine.open(Request("echo"))
    engine.close(held)
    assert engine.open(Request("echo"))


def test_a_slot_that_was_used_before_changes_nothing() -> None:
    engine = tiny.engine(slots=1)
    fresh = tiny.run(engine, REQUESTS[1], tiny.words(TEXT))
    for buffer in (*engine.runner.slots.key, *engine.runner.slots.value):
        buffer.fill_(float("nan"))
    assert tiny.run(engine, REQUESTS[1], tiny.words(TEXT)) == fresh


def test_a_canary_touches_no_sessions_rows() -> None:
    engine = tiny.engine(slots=2)
    before = [buffer.clone() for buffer in engine.runner.slots.key]
    engine.runner.canary()
    rows = 2 * 128
    assert all(torch.equal(a[:rows], b[:rows]) for a, b in zip(before, engine.runner.slots.key, strict=True))
    assert not torch.equal(before[0][rows:], engine.runner.slots.key[0][rows:])


def test_warming_up_touches_no_sessions_rows_and_meets_every_size() -> None:
    engine = tiny.engine(slots=2, tick_tokens=40)
    for buffer in (*engine.runner.slots.key, *engine.runner.slots.value):
        buffer.fill_(float("nan"))
    seen: set[int] = set()
    hook = engine.checkpoint.backbone.model.model.layers[0].register_forward_hook(lambda _, args, __: seen.add(args[0].shape[1]))
    engine.warm_up()
    hook.remove()
    assert seen == {1, 2, 4, 8, 16, 32, 48, 64}
    rows = 2 * 128
    assert all(torch.isnan(buffer[:rows]).all() for buffer in engine.runner.slots.key)


def test_thousands_of_short_slots_are_warmed_up_no_further_than_ticks_that_come() -> None:
    engine = tiny.engine(slots=1500, length=32)
    seen: set[int] = set()
    hook = engine.checkpoint.backbone.model.model.layers[0].register_forward_hook(lambda _, args, __: seen.add(args[0].shape[1]))
    engine.warm_up()
    hook.remove()
    assert max(seen) == 1024


def test_limits_come_from_the_byte_budget() -> None:
    engine = tiny.engine(slots=5, length=100)
    assert (engine.capacity.slots, engine.capacity.slot_length) == (5, 100)
    assert engine.capacity.slot_bytes == 100 * engine.checkpoint.backbone.shape.bytes_per_row()
    with pytest.raises(InvalidValueError, match="at least one slot of 100 tokens"):
        Engine(engine.checkpoint, EngineConfig(kv_memory=1000, slot_length=100))


def test_a_slot_is_never_longer_than_the_models_positions() -> None:
    assert Engine(tiny.checkpoint(offset=100), EngineConfig(slot_length=10_000)).capacity.slot_length == 512 - 100


def test_slots_in_which_no_task_can_start_are_refused_with_the_length_that_is_needed() -> None:
    with pytest.raises(InvalidValueError, match=r"at least (\d+) tokens, which task 'words' needs") as refused:
        tiny.engine(slots=1, length=16).check_that_a_task_fits()
    assert refused.value.param == "slot_length"
    needed = int(refused.value.message.split("at least ")[1].split()[0])
    enough = tiny.engine(slots=1, length=needed)
    enough.check_that_a_task_fits()
    assert enough.open(Request("words"))
    with pytest.raises(InvalidValueError, match="at least"):
        tiny.engine(slots=1, length=needed - 1).check_that_a_task_fits()
