"""Speech that outlasts its slot, through the real engine: every sound is heard once, no word is lost or doubled, and nothing grows."""

from itertools import pairwise
from resource import RUSAGE_SELF, getrusage
from time import thread_time
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backbones.audio_pcm import AudioFormat
from engine.actions import AppendAudio, Decision, Done, End, Event, Read, Write
from engine.audio_session import AudioSession
from engine.engine import Engine
from engine.request import NO_LIMIT, Request
from errors import InvalidValueError
from tests import tiny
from tests.engine import copyist, listener
from tests.engine.heard import hears_blanks, pieces, together, told

STEP = 2 * 6_400  # bytes of a decision's 400 ms
WORD = 2 * listener.TOKEN * listener.EVERY


def request(**changes: object) -> Request:
    options: dict[str, object] = {"head": "wait_k", "threshold": 2.0, "audio": tiny.AUDIO, "rollover": True, **changes}
    return Request("late", **options)  # type: ignore[arg-type]


def run(engine: Engine, asked: Request, pcm: bytes, cuts: list[int]) -> tuple[AudioSession, list[Event]]:
    """`cuts` are in samples."""
    session = engine.open(asked)
    assert isinstance(session, AudioSession)
    for message in pieces(pcm, cuts):
        session.send(message)
    return session, tiny.finish(engine, session)


def done_of(events: list[Event]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


def test_nothing_is_written_at_seams_where_nothing_has_reached_the_slot() -> None:
    session, events = run(hears_blanks(slots=1, length=100), request(head="full", threshold=0.0), tiny.sound(9.0), [])
    assert len(session.seams) > 2
    assert (done_of(events).text, done_of(events).reason) == ("", "end")
    assert not any(isinstance(event, Decision) for event in events)


@settings(max_examples=12, deadline=None)
@given(
    samples=st.integers(12, 20).flatmap(lambda words: st.integers(-10, 10).map(lambda off: words * WORD // 2 + off * 320)),
    cuts=st.lists(st.integers(0, 12 * WORD // 2), max_size=8),
    length=st.sampled_from([100, 140, 210]),
    head=st.sampled_from([("wait_k", 2.0), ("full", 0.0), ("entropy", -9.0)]),
    gate=st.booleans(),
)
@example(samples=153_920, cuts=[], length=100, head=("wait_k", 2.0), gate=True)
def test_every_sound_is_heard_once_and_every_word_written_once(
    samples: int, cuts: list[int], length: int, head: tuple[str, float], gate: bool
) -> None:
    """Seams in every slot length, streams that end anywhere about a pause, early writes and late."""
    engine, heard = listener.engine(length)
    pcm = listener.speech(20)[: 2 * samples]
    session, events = run(engine, request(head=head[0], threshold=head[1], silence_gate=gate), pcm, cuts)
    done = done_of(events)
    tokens = -(-samples // listener.TOKEN)
    words = (tokens - listener.LAST - 1) // listener.EVERY + 1  # whose last token there is
    assert (done.reason, done.text.split()) == ("end", listener.said(engine.checkpoint, words))
    assert heard.heard == list(range(len(heard.heard)))
    # Where the gate finds nothing said behind the last seam, nothing is asked, and so nothing of it is forwarded.
    assert len(heard.heard) > (words - 1) * listener.EVERY + listener.LAST if gate else len(heard.heard) == tokens
    assert done.usage.source_tokens == tokens
    assert done.usage.source_units == -(-samples // 16)
    assert len(session.seams) >= 1
    assert session.seams == sorted(set(session.seams))
    writes = [event for event in events if isinstance(event, Write)]
    assert "".join(write.text for write in writes) == done.text
    assert [write.index for write in writes] == [sum(w.count for w in writes[:i]) for i in range(len(writes))]
    reads = [event.n for event in events if isinstance(event, Read)]
    assert reads == list(range(1, len(cuts) + 2))
    phis = [event.phi for event in events if isinstance(event, Write | Read)]
    assert phis == sorted(phis)


SOUND = tiny.sound(4.5)
RANDOM = (
    request(decisions=True),
    request(decisions=True, head="entropy", threshold=0.3, silence_gate=True),
    request(decisions=True, head="attention", head_params={"accumulate": True}, threshold=0.05),
    request(decisions=True, head="entropy", threshold=-9.0),
)
WHOLE: dict[tuple[int, int, int], Any] = {}


@settings(max_examples=8, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(SOUND) // 2), max_size=10),
    which=st.integers(0, 3),
    length=st.sampled_from([75, 100]),
    block=st.sampled_from([1, 20]),
)
def test_the_same_samples_in_any_pieces_give_the_same_decisions_over_seams(cuts: list[int], which: int, length: int, block: int) -> None:
    """With a random model, which fills the rows of its target before a pause comes, and with the encoder's window restarting too."""
    case = which, length, block
    if case not in WHOLE:
        session, events = run(tiny.hearing_engine(slots=1, length=length, block=block), RANDOM[which], SOUND, [])
        WHOLE[case] = session.seams, told(events)
        assert session.seams
    session, events = run(tiny.hearing_engine(slots=2, length=length, tick_tokens=16, block=block), RANDOM[which], SOUND, cuts)
    assert (session.seams, told(events)) == WHOLE[case]


def runaway(length: int) -> Engine:
    """Its model writes one word for ever."""
    engine = tiny.hearing_engine(slots=1, length=length)
    token = listener.vocabulary(engine.checkpoint)[0]
    return copyist.scripted(engine, lambda _: token, blind=False)


def test_a_target_that_fills_its_rows_is_a_seam_and_the_next_pause_stays_where_it_was() -> None:
    pcm = listener.speech(12)
    quiet, events = run(listener.engine(200)[0], request(head="full"), pcm, [])
    assert done_of(events).reason == "end"
    session, events = run(runaway(200), request(head="entropy", threshold=-9.0), pcm, [])
    assert set(quiet.seams) < set(session.seams)
    assert done_of(events).reason in ("length", "end")
    assert done_of(events).usage.source_tokens == 12 * listener.EVERY


def test_what_a_seam_writes_is_forced_and_the_end_that_ends_it_is_a_read() -> None:
    session, events = run(listener.engine(140)[0], request(head="full", decisions=True), listener.speech(16), [])
    decisions = [event for event in events if isinstance(event, Decision)]
    assert len(session.seams) > 1
    assert [d.phi for d in decisions if d.phi in session.seams and d.action == "read"] == session.seams
    writes = [d for d in decisions if d.action == "write"]
    assert all(d.phi in (*session.seams, 12_800) and d.score is None for d in writes)


def test_a_seam_lies_in_a_pause_past_half_of_the_streams_rows() -> None:
    engine, _ = listener.engine(140)
    session, _ = run(engine, request(), listener.speech(20), [])
    room = session.rows.room[0]
    for before, seam in pairwise([0, *session.seams]):
        assert room / 2 < (seam - before - 13) / 40 <= 0.9 * room + 1
        assert (seam // 40) % listener.EVERY not in range(listener.FIRST + 1, listener.LAST)


def test_before_its_first_seam_a_session_is_what_it_would_be_without() -> None:
    pcm = listener.speech(6)
    plain = run(listener.engine(400)[0], request(rollover=False, max_output_tokens=90), pcm, [])[1]
    assert run(listener.engine(400)[0], request(), pcm, [])[1] == plain


def test_without_rollover_a_full_slot_ends_the_session() -> None:
    _, events = run(listener.engine(140)[0], request(rollover=False, max_output_tokens=12), listener.speech(16), [])
    assert (done_of(events).reason, done_of(events).rco) == ("context", None)


def test_minutes_of_silence_behind_the_gate_cost_no_probe_and_give_no_word() -> None:
    """Before the first word too, where not even the prompt is in the slot yet; and a word behind it is heard."""
    silence = tiny.pcm16(torch.randn(60 * 16_000, generator=torch.Generator().manual_seed(0)) * 0.0005)
    engine, _ = listener.engine(140)
    session, events = run(engine, request(silence_gate=True), silence, [])
    assert (done_of(events).text, done_of(events).reason, done_of(events).usage.probes) == ("", "end", 0)
    assert len(session.seams) > 10
    engine, heard = listener.engine(140)
    session, events = run(engine, request(silence_gate=True), silence[: 75 * WORD] + listener.speech(4) + silence, [])
    assert done_of(events).text.split()[:4] == listener.said(engine.checkpoint, 79)[75:]  # the listener takes silence for words too
    assert done_of(events).usage.target_tokens < 10
    assert len(heard.heard) < done_of(events).usage.source_tokens


def test_seams_in_company_fall_where_they_fall_alone() -> None:
    plan = [(request(threshold=k, decisions=True), tiny.sound(5.0, seed)) for k, seed in ((1.0, 1), (2.0, 2), (4.0, 4))]
    crowd = tiny.hearing_engine(slots=3, length=100, tick_tokens=16)
    for (session, found), (asked, pcm) in zip(together(crowd, plan, STEP).items(), plan, strict=True):
        assert session.seams
        alone, events = run(tiny.hearing_engine(slots=1, length=100), asked, pcm, [])
        assert (session.seams, told(found)) == (alone.seams, told(events))


def test_other_rates_have_their_seams_in_their_own_time() -> None:
    engine, heard = listener.engine(140)
    pcm = listener.speech(16)
    session, events = run(engine, request(audio=AudioFormat("pcm16", 8_000)), pcm, [])  # twice as slow: words of 960 ms
    assert done_of(events).usage.source_units == 25_600
    assert heard.heard == list(range(640))
    assert len(session.seams) > 4


def test_the_source_may_go_on_and_the_target_has_no_limit() -> None:
    engine = tiny.hearing_engine(slots=1, length=140)
    session = engine.open(request())
    assert engine.source_capacity(session) == session.settings.rules.max_output_tokens == NO_LIMIT
    assert session.rows.room[0] > 2 * session.rows.room[1]


def test_a_task_whose_target_does_not_go_on_with_its_source_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"expected rollover with a task .*\(late\); got 'listen'"):
        tiny.hearing_engine().open(Request("listen", audio=tiny.AUDIO, rollover=True))


def stream(words: int, length: int) -> tuple[AudioSession, listener.Listener, list[float], list[int], list[str]]:
    """Piece by piece of 400 ms, each answered before the next; the model runs. Of each word's two: CPU seconds, and memory's peak in kB."""
    engine, heard = listener.engine(length, tick_tokens=32, blind=False)
    session = engine.open(request(silence_gate=True))
    assert isinstance(session, AudioSession)
    seconds, peaks = [], []
    for word in range(words):
        pcm = listener.speech(1, start=word)
        started = thread_time()
        for piece in (pcm[:STEP], pcm[STEP:]):
            session.send(AppendAudio(piece))
            while engine.busy:
                engine.step()
        seconds.append(thread_time() - started)
        peaks.append(getrusage(RUSAGE_SELF).ru_maxrss)
        engine.emit()
    session.send(End())
    tiny.finish(engine, session)
    return session, heard, seconds, peaks, listener.said(engine.checkpoint, words)


def check(session: AudioSession, heard: listener.Listener, words: list[str]) -> None:
    assert session._text.sent.split() == words
    assert heard.heard == list(range(len(words) * listener.EVERY))
    assert max(heard.sizes) <= 32 + session.rows.header
    assert len(session._pauses._levels) <= 2 * session.region.source_capacity  # type: ignore[union-attr]


def test_speech_ten_times_as_long_as_its_slot_keeps_to_the_slot_and_the_tick() -> None:
    session, heard, _, _, words = stream(60, 140)
    assert len(session.seams) > 10
    check(session, heard, words)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_an_hour_of_speech_runs_in_flat_memory_and_time() -> None:
    """4,500 words at 75 a minute. What grows is the text, and a number a token."""
    session, heard, seconds, peaks, words = stream(4_500, 512)
    tenth = len(words) // 10
    ratio = sum(seconds[-tenth:]) / sum(seconds[tenth : 2 * tenth])  # in the first tenth are all first times
    grown = (peaks[-1] - peaks[tenth]) / 1000
    print(f"{len(session.seams)} seams, {len(heard.sizes)} ticks, last tenth / second {ratio:.3f} in CPU time, {grown:.1f} MB more")
    check(session, heard, words)
    assert ratio < 1.2
    assert grown < 16
