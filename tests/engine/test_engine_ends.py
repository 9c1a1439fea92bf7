"""Every way in which a session of the engine ends: the reason it gives, and that nobody else notices."""

from dataclasses import replace

import pytest

from engine.actions import Append, Done, End, Event, Failure, Read, Update, Updated, Write
from engine.engine import Engine
from engine.request import Request
from engine.session import Session
from errors import BadStateError
from tests import tiny
from tests.engine.test_engine import REQUESTS


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
    token = session.rows.target[len(engine.checkpoint.frame.header)]
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


def test_a_stop_string_that_the_last_allowed_token_completes_is_why_it_ends() -> None:
    free = tiny.run(tiny.engine(), Request("echo"), tiny.words("dog sat"))[-1]
    assert isinstance(free, Done)
    stop = next(free.text[-n:] for n in range(1, 9) if free.text.index(free.text[-n:]) == len(free.text) - n)
    done = tiny.run(tiny.engine(), Request("echo", stop=(stop,)), tiny.words("dog sat"))[-1]
    assert isinstance(done, Done)
    assert (done.reason, done.text, done.usage) == ("stop", free.text.removesuffix(stop), free.usage)


@pytest.mark.parametrize("ticks", range(8))
def test_an_update_behind_the_source_end_is_acknowledged_before_done_whenever_it_came(ticks: int) -> None:
    request, queue = Request("echo", tier="high"), tiny.words("dog sat")
    plain = tiny.run(tiny.engine(), request, queue)
    engine = tiny.engine()
    session, events = engine.open(request), []
    for message in queue:
        session.send(message)
    for _ in range(ticks):
        events += [event for _, event in engine.step()]
    session.send(Update(0.1))
    session.send(Update(0.2))
    events += tiny.finish(engine, session)
    assert events == [*plain[:-1], Updated(0.1, from_index=12), Updated(0.2, from_index=12), plain[-1]]


def test_an_update_behind_an_append_that_ends_the_target_is_ignored_like_one_after_done() -> None:
    request = Request("echo", threshold=-1.0)
    engine = tiny.engine()
    with_ends(engine, first_token(engine, request))
    session = engine.open(request)
    for message in (Append("dog "), Update(0.5), Append("sat "), End()):
        session.send(message)
    assert [type(event) for event in tiny.finish(engine, session)] == [Done]
