"""The engine with tiny random models: a trajectory depends on nothing but its messages, and every way out frees the slot."""

from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actions import Append, Decision, Done, End, Event, Message, Read, Update, Updated, Write
from engine.engine import Engine
from engine.request import Request, Sampling
from engine.session import Session
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
