"""The engine with tiny random models: a trajectory depends on nothing but its messages, and every way out frees the slot."""

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actions import Append, Decision, Done, End, Event, Failure, Message, Read, Update, Updated, Write
from engine.engine import Engine, EngineConfig
from engine.request import Request, Sampling
from engine.session import Session
from errors import BadStateError, InvalidValueError, NoCapacityError, PromptTooLongError
from tests import tiny

TEXT = "The dog sat down where the cats were, and 12 birds sang. 世界 你好! Where is the dog?"
ASK = {"inputs": {"question": "Where is the dog?"}}
REQUESTS = (
    Request("echo", tier="low"),
    Request("echo", threshold=0.4),
    Request("echo", head="attention", threshold=0.06),
    Request("ask", head="attention", head_params={"score": "focus", "accumulate": True}, threshold=0.3, **ASK),
    Request("ask", head="mass", threshold=0.5, **ASK),
    Request("words", threshold=2.0),
    Request("words", head="align_att", threshold=1.0),
    Request("echo", head="fixed_chunk", head_params={"n": 2, "r": 1}),
    Request("echo", head="full", max_output_tokens=5),
    Request("echo", threshold=0.3, sampling=Sampling(temperature=1.0, top_p=0.9, seed=7), stop=("ab", "d")),
)


def messages(rng: Random) -> list[Message]:
    """TEXT in random pieces, with changes of threshold between them, and its end."""
    made: list[Message] = []
    rest = TEXT
    while rest:
        count = rng.randint(1, 12)
        made.append(Append(rest[:count]))
        rest = rest[count:]
        if rng.random() < 0.1:
            made.append(Update(rng.random()))
    return [*made, End()]


def together(engine: Engine, plan: list[tuple[Request, list[Message]]], rng: Random) -> list[list[Event]]:
    """All sessions at once; messages and ticks come in random order."""
    waiting = list(enumerate(plan))
    rng.shuffle(waiting)
    open_: dict[int, tuple[Session, list[Message]]] = {}
    events: dict[Session, list[Event]] = {}
    sessions: dict[int, Session] = {}
    while waiting or open_ or engine.busy:
        if waiting and engine.free_slots and rng.random() < 0.4:
            index, (request, queue) = waiting.pop()
            session = engine.open(request)
            sessions[index], events[session], open_[index] = session, [], (session, list(queue))
        for index in list(open_):
            session, queue = open_[index]
            while queue and not session.done and rng.random() < 0.4:
                session.send(queue.pop(0))
            if session.done or not queue:
                del open_[index]
        for session, event in engine.step() if rng.random() < 0.7 else engine.emit():
            events[session].append(event)
    return [events[sessions[index]] for index in range(len(plan))]


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), family=st.sampled_from(sorted(tiny.FAMILIES)), budget=st.sampled_from([4, 16, 200]))
def test_a_trajectory_is_a_function_of_its_messages_only(seed: int, family: str, budget: int) -> None:
    """Ten sessions with ten heads and thresholds for four slots, against each one alone: equal to the byte."""
    rng = Random(seed)
    plan = [(request, messages(rng)) for request in REQUESTS]
    crowd = tiny.engine(slots=4, tick_tokens=budget, family=family)
    found = together(crowd, plan, rng)
    for (request, queue), events in zip(plan, found, strict=True):
        assert events == tiny.run(tiny.engine(slots=1, family=family), request, queue)
        assert isinstance(events[-1], Done)
    assert crowd.free_slots == 4
    assert not crowd.sessions


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), request_=st.sampled_from(REQUESTS))
def test_events_answer_messages_as_the_protocol_promises(seed: int, request_: Request) -> None:
    """Every append gets its writes and one read, or the end; text, index, count and phi add up."""
    queue = [message for message in messages(Random(seed)) if not isinstance(message, Update)]
    events = tiny.run(tiny.engine(slots=1), request_, queue)
    done = events[-1]
    assert isinstance(done, Done)
    writes = [event for event in events if isinstance(event, Write)]
    reads = [event for event in events if isinstance(event, Read)]
    assert [read.n for read in reads] == list(range(1, len(reads) + 1))
    assert all(write.text for write in writes)
    assert "".join(write.text for write in writes) == done.text
    assert [write.index for write in writes] == [sum(w.count for w in writes[:i]) for i in range(len(writes))]
    assert sum(write.count for write in writes) <= done.usage.target_tokens <= 12
    phis = [event.phi for event in events if isinstance(event, Write | Read)]
    assert phis == sorted(phis)
    ns = [event.n for event in events if isinstance(event, Write | Read)]
    assert ns == sorted(ns)
    # A write comes before the read of the same message.
    assert all(not isinstance(a, Read) or a.n < b.n for a, b in pairwise(events) if isinstance(b, Write))


def test_queued_appends_are_decided_one_after_the_other() -> None:
    events = tiny.run(tiny.engine(), Request("echo", threshold=1.0, decisions=True), tiny.words("a b c d"))
    asked = [(event.n, event.phi) for event in events if isinstance(event, Decision) and event.score is not None]
    assert asked == [(1, 1), (2, 2), (3, 3), (4, 4)]


def test_an_append_that_completes_no_word_is_read_at_once_without_a_probe() -> None:
    engine = tiny.engine()
    session = engine.open(Request("echo", threshold=0.0))
    session.send(Append("do"))
    assert [event for _, event in engine.emit()] == [Read(phi=0, n=1)]
    assert not session.wants_probe


def test_full_at_the_source_end_is_what_an_untouched_greedy_decoder_writes() -> None:
    """Batch decoding through the engine equals transformers' own forward, positions restarted."""
    engine = tiny.engine()
    events = tiny.run(engine, Request("echo", head="full"), [Append("The dog sat."), End()])
    checkpoint = engine.checkpoint
    frame = checkpoint.frame
    prompt = checkpoint.codec.encode("Say it again:\n").tokens
    source = [*frame.before, *prompt, *checkpoint.codec.encode("The dog sat.").tokens, *frame.source_end]
    from backbones.visibility import Trajectory, target_logits  # noqa: PLC0415 (beside its only use)

    offline = tiny.model("qwen2", attn="eager", vocab_size=checkpoint.backbone.vocab_size)
    target = list(frame.header)
    visible = [len(frame.before) + len(prompt)] * (len(target) - 1)
    for _ in range(12):
        visible.append(len(source))
        target.append(int(target_logits(offline, Trajectory(source, target, visible), 0)[-1].argmax()))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.text == checkpoint.tokenizer.decode(target[len(frame.header) :], skip_special_tokens=True)


def test_a_change_of_threshold_takes_effect_at_the_next_decision_and_says_where() -> None:
    engine = tiny.engine()
    queue = [Append("a "), Append("b "), Update(0.0), Append("c ")]
    session = engine.open(Request("echo", threshold=1.0, decisions=True))
    for message in queue:
        session.send(message)
    events = tiny.finish(engine, session)
    updated = next(event for event in events if isinstance(event, Updated))
    assert updated == Updated(threshold=0.0, from_index=0)
    decisions = [event for event in events if isinstance(event, Decision)]
    assert [(d.n, d.threshold) for d in decisions][:3] == [(1, 1.0), (2, 1.0), (3, 0.0)]
    assert [d.action for d in decisions][:3] == ["read", "read", "write"]


def test_decisions_tell_the_score_only_where_it_decided() -> None:
    events = tiny.run(tiny.engine(), Request("echo", threshold=1.0, decisions=True, max_output_tokens=3), tiny.words("a b"))
    decisions = [event for event in events if isinstance(event, Decision)]
    assert [d.score is None for d in decisions] == [False, False, True, True, True]
    assert [d.index for d in decisions] == [0, 0, 0, 1, 2]


# ---- ends


def with_ends(engine: Engine, *ends: int) -> Engine:
    """The same engine, with other end tokens."""
    frame = replace(engine.checkpoint.frame, end=frozenset(ends))
    engine.checkpoint = replace(engine.checkpoint, frame=frame)
    return engine


def first_token(engine: Engine, request: Request) -> int:
    """What the model would write first after one word."""
    session = engine.open(request)
    session.send(Append("dog "))
    while engine.busy:
        engine.step()
    token = session._target[len(engine.checkpoint.frame.header)]
    engine.close(session)
    return token


def test_the_end_token_ends_even_early_and_is_no_text() -> None:
    request = Request("echo", threshold=-1.0)
    engine = tiny.engine()
    with_ends(engine, first_token(engine, request))
    events = tiny.run(engine, request, tiny.words("dog sat"))
    assert len(events) == 1
    assert isinstance(events[0], Done)
    assert (events[0].reason, events[0].text, events[0].rco) == ("end", "", None)
    assert engine.free_slots == 8


def test_a_task_may_forbid_an_end_before_the_source_end() -> None:
    engine = tiny.engine()
    with_ends(engine, first_token(engine, Request("words", threshold=-9.0)))
    events = tiny.run(engine, Request("words", threshold=-9.0), [Append("dog "), End()])
    assert isinstance(events[0], Read)


def test_a_write_forced_where_the_end_is_forbidden_writes_the_best_other_token() -> None:
    engine = tiny.engine()
    with_ends(engine, first_token(engine, Request("words", threshold=-9.0)))
    events = tiny.run(engine, Request("words", threshold=99.0, max_lag=1), [Append("dog ")])
    assert isinstance(events[0], Write)


def test_max_output_tokens_ends_with_length() -> None:
    done = tiny.run(tiny.engine(), Request("echo", max_output_tokens=3), tiny.words("dog"))[-1]
    assert isinstance(done, Done)
    assert (done.reason, done.usage.target_tokens) == ("length", 3)


def test_a_stop_string_ends_and_is_not_in_the_text() -> None:
    free = tiny.run(tiny.engine(), Request("echo"), tiny.words("dog sat"))[-1]
    assert isinstance(free, Done)
    stop = free.text[4:7]
    done = tiny.run(tiny.engine(), Request("echo", stop=(stop,)), tiny.words("dog sat"))[-1]
    assert isinstance(done, Done)
    assert (done.reason, done.text) == ("stop", free.text[: free.text.index(stop)])


def test_a_source_that_outgrows_the_slot_ends_with_context_and_leaves_the_neighbour_alone() -> None:
    engine = tiny.engine(slots=2, length=64)
    request, queue = Request("echo", tier="high"), tiny.words("dog sat here")
    long, neighbour = engine.open(request), engine.open(request)
    found: dict[Session, list[Event]] = {long: [], neighbour: []}
    for _ in range(60):
        if not long.done:
            long.send(Append("birds "))
        if queue:
            neighbour.send(queue.pop(0))
        for session, event in engine.step():
            found[session].append(event)
    done = found[long][-1]
    assert isinstance(done, Done)
    assert (done.reason, done.rco) == ("context", None)
    assert found[neighbour] == tiny.run(tiny.engine(slots=1, length=64), request, tiny.words("dog sat here"))
    assert engine.free_slots == 2


def test_a_prompt_that_leaves_no_room_is_refused_before_a_slot_is_taken() -> None:
    engine = tiny.engine(slots=1, length=32)
    with pytest.raises(PromptTooLongError, match="32 tokens"):
        engine.open(Request("ask", inputs={"question": "dog " * 40}))
    with pytest.raises(PromptTooLongError):
        engine.open(Request("echo", max_output_tokens=1000))
    assert engine.free_slots == 1


def test_cancel_ends_at_once_whatever_is_queued() -> None:
    engine = tiny.engine()
    session = engine.open(Request("echo"))
    for message in tiny.words("a b c d e"):
        session.send(message)
    engine.step()
    session.cancel()
    done = [event for _, event in engine.emit()][-1]
    assert isinstance(done, Done)
    assert done.reason == "cancelled"
    assert (engine.free_slots, engine.busy) == (8, False)


def test_source_after_the_source_end_is_refused_and_harms_nothing() -> None:
    engine = tiny.engine()
    session = engine.open(Request("echo"))
    session.send(End())
    with pytest.raises(BadStateError):
        session.send(Append("more"))
    assert isinstance(tiny.finish(engine, session)[-1], Done)


def test_an_empty_source_is_written_about_at_its_end() -> None:
    for queue in ([End()], [Append(""), End()], [Append("  \n"), End()]):
        done = tiny.run(tiny.engine(), Request("echo"), list(queue))[-1]
        assert isinstance(done, Done)
        assert (done.usage.source_units, done.rco, done.ail) == (0, None, None)
        assert done.usage.target_tokens == 12


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


def test_nan_from_the_model_fails_the_session_that_it_belongs_to() -> None:
    """A neighbour's decision and text are as they would be alone."""
    engine = tiny.engine(slots=2)
    good, bad = engine.open(REQUESTS[1]), engine.open(REQUESTS[1])
    for message in tiny.words("dog sat here"):
        good.send(message)
        bad.send(message)
    engine.step()
    for buffer in engine.runner.slots.key:
        buffer[bad.region.base : bad.region.base + bad.region.length] = float("nan")
    found: dict[Session, list[Event]] = {good: [], bad: []}
    while engine.busy:
        for session, event in engine.step():
            found[session].append(event)
    failure, done = found[bad][-2:]
    assert isinstance(failure, Failure)
    assert failure.error.code == "bad_signal"
    assert isinstance(done, Done)
    assert done.reason == "error"
    assert found[good] == tiny.run(tiny.engine(slots=1), REQUESTS[1], tiny.words("dog sat here"))[-len(found[good]) :]
    assert engine.free_slots == 2


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
    engine = tiny.engine(slots=1500, length=16)
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
