"""Sessions that another model hears for: what they write is a function of the samples, and what they write about the heard text."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actions import Append, AppendAudio, Decision, Done, End, Event, Failure, Message, Read, Update, Write
from engine.engine import Engine, EngineConfig, bytes_of_a_slot
from engine.listening_session import ListeningSession, to_hear
from engine.request import Request
from errors import BadStateError, InvalidValueError, NoCapacityError
from tests import tiny
from tests.engine.heard import pieces, together, told

SECONDS = 4.5
PCM = tiny.sound(SECONDS)
REQUESTS = (
    Request("echo", threshold=0.355, audio=tiny.AUDIO, decisions=True),
    Request("ask", inputs={"question": "who"}, threshold=0.05, audio=tiny.AUDIO, decisions=True),
    Request("words", threshold=2.0, audio=tiny.AUDIO, decisions=True),
)


def opened(request: Request, engine: Engine | None = None) -> tuple[Engine, ListeningSession]:
    engine = engine or tiny.listening_engine()
    session = engine.open(request)
    assert isinstance(session, ListeningSession)
    return engine, session


def heard(pcm: bytes) -> list[tuple[str, int]]:
    """What the ear writes, by the moment up to which it had heard."""
    engine = tiny.listening_engine().listener
    assert engine is not None
    request = Request("transcribe", audio=tiny.AUDIO, rollover=True)
    found: dict[int, str] = {}
    for event in tiny.run(engine, request, [AppendAudio(pcm), End()]):
        if isinstance(event, Write):
            found[event.phi] = found.get(event.phi, "") + event.text
    return [(text, phi) for phi, text in found.items()]


WHOLE = [told(tiny.run(tiny.listening_engine(), request, pieces(PCM, []))) for request in REQUESTS]


def test_the_ear_writes_words_at_several_moments() -> None:
    """Or the tests below would show little."""
    assert len(heard(PCM)) >= 4


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, len(PCM) // 2), max_size=12), which=st.integers(0, len(REQUESTS) - 1))
def test_the_same_samples_in_any_pieces_give_the_same_decisions(cuts: list[int], which: int) -> None:
    messages = pieces(PCM, cuts)
    events = tiny.run(tiny.listening_engine(slots=1), REQUESTS[which], messages)
    assert told(events) == WHOLE[which]
    reads = [event.n for event in events if isinstance(event, Read)]
    assert reads == sorted(set(reads))
    if events[-1].reason == "end":  # type: ignore[union-attr]
        assert len(reads) == len(messages) - 1


@pytest.mark.parametrize("request_", REQUESTS)
def test_it_writes_what_a_session_of_text_writes_about_what_was_heard(request_: Request) -> None:
    said = heard(PCM)
    text = replace(request_, audio=None)
    messages: list[Message] = [*(Append(words) for words, _ in said), End()]
    read = [event for event in tiny.run(tiny.listening_engine(), text, messages) if isinstance(event, Decision | Write)]
    spoken = [event for event in tiny.run(tiny.listening_engine(), request_, pieces(PCM, [])) if isinstance(event, Decision | Write)]
    assert len(read) > 4
    assert [_what(one) for one in read] == [_what(one) for one in spoken]


def _what(event: Event) -> tuple[object, ...]:
    """Without phi, of which the one is in words and the other in ms."""
    if isinstance(event, Decision):
        return event.index, event.action, pytest.approx(event.score, abs=1e-4)
    assert isinstance(event, Write)
    return event.index, event.text


def test_phi_is_where_the_ear_had_heard_and_at_the_end_all_samples() -> None:
    moments = {phi for _, phi in heard(PCM)}
    events = tiny.run(tiny.listening_engine(), REQUESTS[0], pieces(PCM, []))
    decided = [event.phi for event in events if isinstance(event, Decision)]
    assert set(decided) - moments <= {4500}
    assert len(set(decided)) >= 3
    done = events[-1]
    assert isinstance(done, Done)
    assert done.usage.source_units == 4500
    assert done.rco is not None


def test_later_samples_change_nothing_that_was_decided_before() -> None:
    for second in (2, 3):
        other = PCM[: 2 * 16_000 * second] + tiny.sound(SECONDS - second, seed=7)
        before = [
            [event for event in tiny.run(tiny.listening_engine(), REQUESTS[0], pieces(pcm, [])) if isinstance(event, Decision | Write)]
            for pcm in (PCM, other)
        ]
        kept = [told([event for event in events if event.phi <= 1000 * second]) for events in before]
        assert len(kept[0]) > 1
        assert kept[0] == kept[1]
        assert told(list(before[0])) != told(list(before[1]))


def test_a_session_beside_others_is_as_it_is_alone() -> None:
    found = together(tiny.listening_engine(slots=3), [(request, PCM) for request in REQUESTS], 9_999 * 2)
    assert [told(events) for events in found.values()] == WHOLE


def test_a_new_threshold_holds_from_its_place_in_the_stream() -> None:
    half = len(PCM) // 2

    def run(messages: list[Message]) -> list[tuple[object, ...]]:
        return told(tiny.run(tiny.listening_engine(), REQUESTS[0], messages))

    whole = run([AppendAudio(PCM[:half]), Update(0.33), AppendAudio(PCM[half:]), End()])
    assert whole == run([AppendAudio(PCM[: half // 2]), AppendAudio(PCM[half // 2 : half]), Update(0.33), AppendAudio(PCM[half:]), End()])
    assert whole != WHOLE[0]


def test_where_nothing_was_said_nothing_is_written() -> None:
    asked = replace(REQUESTS[0], silence_gate=True)
    events = tiny.run(tiny.listening_engine(), asked, [AppendAudio(bytes(2 * 32_000)), End()])
    assert not [event for event in events if isinstance(event, Write)]
    assert (events[-1].reason, events[-1].usage.source_units) == ("end", 2000)  # type: ignore[union-attr]


@pytest.mark.parametrize("end", ["cancel", "close", "fail"])
def test_both_slots_are_free_behind_it(end: str) -> None:
    engine, session = opened(REQUESTS[0], tiny.listening_engine(slots=1))
    listener = engine.listener
    assert listener is not None
    session.send(AppendAudio(PCM[:20_000]))
    engine.step()
    with pytest.raises(NoCapacityError):
        engine.open(REQUESTS[0])
    if end == "close":
        engine.close(session)
    elif end == "cancel":
        session.cancel()
    else:
        session.send(AppendAudio(b"odd"))
    events = tiny.finish(engine, session)
    assert (engine.free_slots, listener.free_slots, listener.sessions) == (1, 1, [])
    failed = [event for event in events if isinstance(event, Failure)]
    assert bool(failed) == (end == "fail")
    if failed:
        assert isinstance(failed[0].error, InvalidValueError)
        assert events[-1].reason == "error"  # type: ignore[union-attr]
    assert told(tiny.run(engine, REQUESTS[1], pieces(PCM, []))) == WHOLE[1]


def test_a_request_that_is_refused_holds_no_slot() -> None:
    engine = tiny.listening_engine(slots=1)
    with pytest.raises(InvalidValueError, match="no rollover"):
        engine.open(Request("words", rollover=True, audio=tiny.AUDIO))
    assert engine.free_slots == 1


def test_it_takes_sound_only_and_a_session_of_text_text_only() -> None:
    engine, session = opened(REQUESTS[0])
    with pytest.raises(BadStateError, match="AppendAudio"):
        session.send(Append("text"))
    with pytest.raises(BadStateError, match="Append"):
        engine.open(replace(REQUESTS[0], audio=None)).send(AppendAudio(PCM))


def test_what_does_not_fit_into_the_slot_ends_the_session() -> None:
    events = tiny.run(tiny.listening_engine(slots=1, length=64), Request("echo", head="full", audio=tiny.AUDIO), pieces(tiny.sound(20), []))
    assert events[-1].reason == "context"  # type: ignore[union-attr]


def test_memory_is_shared_by_both_models() -> None:
    whole = tiny.listening_engine(slots=3).checkpoint
    each = bytes_of_a_slot(whole, 256)
    assert whole.listener is not None
    assert each > bytes_of_a_slot(whole.listener, 256) + 256 * whole.backbone.shape.bytes_per_row() - 1
    made = Engine(whole, EngineConfig(kv_memory=3 * each + each // 2, slot_length=256))
    assert made.listener is not None
    assert (made.capacity.slots, made.listener.capacity.slots, made.capacity.slot_bytes) == (3, 3, each)


def counted(engine: Engine, request: Request, messages: list[Message]) -> list[tuple[Counter[tuple[str, str]], int]]:
    """Decisions and tokens of all ticks of a session, of the engine and of its listener."""
    session, engines = engine.open(request), [engine, *([engine.listener] if engine.listener else [])]
    for message in messages:
        session.send(message)
    found = [(Counter[tuple[str, str]](), 0) for _ in engines]
    while engine.busy:
        engine.step()
        found = [
            (told + one.last_tick.decisions, tokens + one.last_tick.tokens) for one, (told, tokens) in zip(engines, found, strict=True)
        ]
    return found


def test_each_model_tells_of_its_ticks() -> None:
    request = replace(REQUESTS[2], head="full", threshold=0.0)  # it reads to the end, so that the ear hears everything
    ear = tiny.listening_engine().listener
    assert ear is not None
    hears = counted(ear, to_hear(ear.checkpoint, opened(request)[1].settings), pieces(PCM, []))
    reads, _ = counted(tiny.listening_engine(), replace(request, audio=None), [*(Append(words) for words, _ in heard(PCM)), End()])
    assert counted(tiny.listening_engine(), request, pieces(PCM, [])) == [reads, *hears]
    assert reads[1] > 0
    assert hears[0][1] > 0
