"""Streams that outlast their slot, through the real engine: nothing is lost, doubled, revised or read twice, and nothing grows."""

from dataclasses import replace
from random import Random
from resource import RUSAGE_SELF, getrusage
from time import thread_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from backbones.source_codec import count_units
from engine import rollover
from engine.actions import Append, Decision, Done, End, Event, Message, Read, Update, Write
from engine.engine import Engine
from engine.request import Request
from engine.session import Session
from errors import InvalidValueError, PromptTooLongError
from tests import tiny
from tests.engine import copyist

ALWAYS = -9.0  # a threshold that every score reaches
PROMPT = "Say it:\n"


def request(**changes: object) -> Request:
    options: dict[str, object] = {"head": "entropy", "threshold": ALWAYS, "instruction": PROMPT, "rollover": True, **changes}
    return Request("words", **options)  # type: ignore[arg-type]


def run(engine: Engine, asked: Request, messages: list[Message]) -> tuple[Session, list[Event]]:
    session = engine.open(asked)
    for message in messages:
        if not session.done:
            session.send(message)
    return session, tiny.finish(engine, session)


def cut(text: str, rng: Random, longest: int) -> list[Message]:
    made: list[Message] = []
    while text:
        count = rng.randint(1, longest)
        made.append(Append(text[:count]))
        text = text[count:]
    return [*made, End()]


def done_of(events: list[Event]) -> Done:
    assert isinstance(events[-1], Done)
    return events[-1]


@settings(max_examples=15, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    sentence=st.sampled_from([0, 1, 4, 9, 30]),
    longest=st.sampled_from([3, 12, 700]),
    length=st.sampled_from([80, 160, 240]),
    asked=st.sampled_from([request(), request(head="wait_k", threshold=3.0), request(head="full"), request(instruction="")]),
)
def test_a_model_that_repeats_repeats_every_word_once(seed: int, sentence: int, longest: int, length: int, asked: Request) -> None:
    """Sentences that are carried, that are too long for it, and none at all; source that is cut anywhere; early writes and late."""
    text = copyist.text(80, sentence=sentence)
    session, events = run(copyist.engine(length), asked, cut(text, Random(seed), longest))
    done = done_of(events)
    assert (done.reason, done.text.split()) == ("end", text.split())
    assert len(session.seams) >= 2
    assert session.seams == sorted(set(session.seams))
    assert done.usage.source_units == 80
    assert done.rco is not None
    assert 0.5 < done.rco <= 1
    writes = [event for event in events if isinstance(event, Write)]
    assert "".join(write.text for write in writes) == done.text
    assert [write.index for write in writes] == [sum(w.count for w in writes[:i]) for i in range(len(writes))]
    reads = [event for event in events if isinstance(event, Read)]
    assert [read.n for read in reads] == list(range(1, len(reads) + 1))
    assert len(reads) + 1 == session._told.n
    phis = [event.phi for event in events if isinstance(event, Write | Read)]
    assert phis == sorted(phis)


def units(text: str) -> SearchStrategy[str]:
    return st.lists(st.sampled_from(text.split("|")), min_size=20, max_size=60).map("".join)


@settings(max_examples=6, deadline=None)
@given(text=units('dog |世。|。|”|"|? |cat. |」|世界|ไทย'), longest=st.sampled_from([2, 50]))
def test_phi_counts_the_units_of_the_whole_text_wherever_the_seams_lie(text: str, longest: int) -> None:
    """No seam cuts a word in two, as one behind a quote would: `。”dog`."""
    _, events = run(copyist.engine(), request(head="full"), cut(text, Random(1), longest))
    assert done_of(events).reason in ("end", "length")  # the target may fill the slot to its last row
    assert done_of(events).usage.source_units == count_units(text)


@pytest.mark.parametrize(
    ("text", "length"),
    [
        *(("世" * 400, 128), ("世界和平。" * 80, 128), ("ไทย" * 130, 128), ("世" * 400, 512)),
        *(("a" * 3000, 512), ("." * 3000, 512), ("🐕" * 300, 512), (" " * 9000, 512)),
    ],
)
def test_text_without_a_place_to_cut_goes_on_in_one_append_too(text: str, length: int) -> None:
    _, events = run(copyist.engine(length), request(head="full", instruction=""), [Append(text), Append(text), End()])
    assert done_of(events).reason == "end"


@pytest.mark.parametrize("part", [".", " ", "x", "word ", "a. ", "。", "! ! "])
def test_no_append_holds_up_the_other_sessions(part: str) -> None:
    """A message is worked on to the next seam at most; before it was mended, some of these took seconds."""
    text = part * (60_000 // len(part))
    engine = copyist.engine(2048)
    session = engine.open(request(head="full"))
    start = thread_time()
    for _ in range(4):
        session.send(Append(text))
    assert thread_time() - start < 2
    for _ in range(40):
        start = thread_time()
        engine.step()
        assert thread_time() - start < 2
    assert session.rows.stream <= session.rows.room[0]
    assert len(session._held) < 2 * rollover.LONGEST


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**32), words=st.integers(20, 60))
def test_a_model_that_writes_at_random_keeps_the_protocols_promises(seed: int, words: int) -> None:
    rng = Random(seed)
    text = " ".join(
        rng.choice(["dog.", "世界。你好", "sat", "3.14", "Mr.", "wait…", "世界你好世界你好世", "no!\n\n"]) for _ in range(words)
    )
    engine = tiny.engine(slots=1, length=90)
    copyist.scripted(engine, lambda session: rng.randrange(len(session.word_starts)))
    asked = request(head="wait_k", threshold=float(rng.randint(1, 5)))
    session, events = run(engine, asked, cut(text, rng, rng.choice([4, 200])))
    done = done_of(events)
    assert done.reason in ("end", "length")
    assert session.seams
    assert "".join(event.text for event in events if isinstance(event, Write)) == done.text
    whole = engine.checkpoint.codec.encode(text)
    assert done.usage.source_units == whole.released
    phis = [event.phi for event in events if isinstance(event, Write | Read)]
    assert phis == sorted(phis)
    assert phis[-1] <= whole.released
    assert [event.n for event in events if isinstance(event, Read)] == list(range(1, session._told.n))


def test_before_its_first_seam_a_session_is_what_it_would_be_without() -> None:
    text = copyist.text(20, sentence=5)
    plain = run(copyist.engine(400), request(rollover=False, max_output_tokens=99), tiny.words(text))[1]
    assert run(copyist.engine(400), request(), tiny.words(text))[1] == plain


def test_a_trajectory_with_seams_depends_on_its_messages_only() -> None:
    """Alone, and in company of sessions whose seams fall elsewhere, with ticks of another size."""
    plan = [
        (request(head="wait_k", threshold=k), tiny.words(copyist.text(24, sentence=size))) for k, size in ((2.0, 3), (4.0, 5), (1.0, 0))
    ]
    crowd = tiny.engine(slots=3, length=80, tick_tokens=8)
    sessions = [crowd.open(asked) for asked, _ in plan]
    found: dict[Session, list[Event]] = {session: [] for session in sessions}
    for turn in range(25):
        for session, (_, queue) in zip(sessions, plan, strict=True):
            if not session.done:
                session.send(queue[turn])
        for session, event in crowd.step():
            found[session].append(event)
    while crowd.busy:
        for session, event in crowd.step():
            found[session].append(event)
    for session, (asked, queue) in zip(sessions, plan, strict=True):
        assert session.seams
        assert found[session] == run(tiny.engine(slots=1, length=80), asked, queue)[1]


def test_what_a_seam_writes_is_forced_and_the_end_that_ends_it_is_a_read() -> None:
    session, events = run(copyist.engine(160), request(head="full", decisions=True), tiny.words(copyist.text(60, sentence=6)))
    decisions = [event for event in events if isinstance(event, Decision)]
    assert len(session.seams) > 1
    at_seams = [d for d in decisions if d.phi in session.seams and d.score is None and d.action == "read"]
    assert [d.phi for d in at_seams] == session.seams
    writes = [d for d in decisions if d.action == "write"]
    assert [d.index for d in writes[:-1]] == list(range(len(writes) - 1))
    assert all(d.phi in (*session.seams, 60) and d.score is None for d in writes)


def test_a_model_that_finds_no_end_is_stopped_at_each_seam_and_goes_on() -> None:
    engine = copyist.scripted(tiny.engine(slots=1, length=120), lambda _: 5)
    session, events = run(engine, request(head="full", threshold=0.0), tiny.words(copyist.text(40, sentence=4)))
    room = session.rows.room[1]
    written = [sum(w.count for w in events if isinstance(w, Write) and w.phi == phi) for phi in session.seams]
    assert len(written) > 2
    assert 0 < max(written) <= room
    assert done_of(events).reason in ("length", "end")


def test_a_change_of_threshold_behind_a_seam_takes_effect_in_its_turn() -> None:
    words = tiny.words(copyist.text(60, sentence=6))
    session, events = run(copyist.engine(160), request(), [*words[:40], Update(99.0), *words[40:]])
    assert session.seams[0] < 40
    assert done_of(events).text.split() == copyist.text(60, sentence=6).split()
    late = [event for event in events if isinstance(event, Write) and event.phi > 40]
    assert {event.phi for event in late} <= {*session.seams, 60}


def test_max_output_tokens_and_stop_strings_count_over_seams() -> None:
    words = copyist.text(60, sentence=6)
    _, events = run(copyist.engine(160), request(max_output_tokens=100), tiny.words(words))
    assert (done_of(events).reason, done_of(events).usage.target_tokens) == ("length", 100)
    _, events = run(copyist.engine(160), request(stop=(words.split()[45],)), tiny.words(words))
    assert (done_of(events).reason, done_of(events).text.split()) == ("stop", words.split()[:45])


def test_a_task_may_want_less_than_the_slot_and_then_seams_lie_as_in_a_shorter_one() -> None:
    engine, asked, messages = copyist.engine(240), request(instruction=""), tiny.words(copyist.text(120, sentence=4))
    frame = engine.checkpoint.frame
    shorter = copyist.engine(len(frame.before) + len(frame.source_end) + len(frame.header) + 70)
    config = engine.checkpoint.config
    words = config.tasks["words"].model_copy(update={"rollover_tokens": 70})
    engine.checkpoint = replace(engine.checkpoint, config=config.model_copy(update={"tasks": {"words": words}}))
    session, events = run(engine, asked, messages)
    expected, told = run(shorter, asked, messages)
    assert (session.seams, events) == (expected.seams, told)
    assert len(session.seams) > len(run(copyist.engine(240), asked, messages)[0].seams) > 0
    assert engine.open(request(rollover=False)).region.length == 240  # the others have all of theirs


def test_without_rollover_a_full_slot_ends_the_session() -> None:
    _, events = run(
        copyist.engine(96), request(rollover=False, max_output_tokens=20, threshold=9.0), tiny.words(copyist.text(60, sentence=6))
    )
    assert (done_of(events).reason, done_of(events).rco) == ("context", None)


def test_a_word_that_no_slot_can_hold_ends_even_an_endless_stream() -> None:
    _, events = run(copyist.engine(96), request(), [Append("x7q" * 60 + " "), End()])
    assert done_of(events).reason == "context"


def test_a_task_whose_answer_does_not_go_on_with_its_source_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"expected rollover with a task .*\(words\); got 'echo'"):
        tiny.engine().open(Request("echo", rollover=True))


def test_a_prompt_that_leaves_no_room_is_refused_and_holds_no_slot() -> None:
    engine = tiny.engine(slots=1, length=64)
    with pytest.raises(PromptTooLongError):
        engine.open(request(instruction="dog " * 20))
    assert engine.free_slots == 1


def stream(engine: Engine, words: int) -> tuple[Session, list[int], list[float], list[int]]:
    """Word by word, each answered before the next. Tokens of every tick; for every word its seconds, and the peak of memory in kB."""
    session = engine.open(request(head="wait_k", threshold=3.0))
    sizes, seconds, peaks = [], [], []
    plain = engine.runner.backbone.forward

    def forward(slots: object, runs: list[object], rows: list[object]) -> object:
        sizes.append(sum(len(run.tokens) for run in runs) + len(rows))  # type: ignore[attr-defined]
        return plain(slots, runs, rows)  # type: ignore[arg-type]

    engine.runner.backbone.forward = forward  # type: ignore[method-assign,assignment]
    try:
        for number in range(words):
            session.send(Append(copyist.text(1, sentence=9, start=number) + " "))
            started = thread_time()
            while engine.busy:
                engine.step()
            seconds.append(thread_time() - started)
            peaks.append(getrusage(RUSAGE_SELF).ru_maxrss)
            engine.emit()
        session.send(End())
        tiny.finish(engine, session)
    finally:
        engine.runner.backbone.forward = plain  # type: ignore[method-assign]
    return session, sizes, seconds, peaks


def test_a_stream_ten_times_as_long_as_its_slot_keeps_to_the_slot_and_the_tick() -> None:
    engine = copyist.engine(64, slots=1, tick_tokens=16, blind=False)
    session, sizes, _, _ = stream(engine, 110)
    assert len(session.seams) > 10
    assert session._told.source_tokens + len(session.controller.trajectory) > 10 * 64
    assert max(sizes) <= 16 + len(engine.checkpoint.frame.header)
    assert len(session.rows.source) <= session.region.source_capacity
    assert session._text.sent.split() == copyist.text(110, sentence=9).split()


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_two_hours_of_text_run_in_flat_memory_and_time() -> None:
    """18,000 words at 150 a minute. What grows is the text, and a number a token."""
    words = 18_000
    engine = copyist.engine(256, slots=1, tick_tokens=32, blind=False)
    session, sizes, seconds, peaks = stream(engine, words)
    tenth = words // 10
    ratio = sum(seconds[-tenth:]) / sum(seconds[tenth : 2 * tenth])  # in the first tenth are all first times
    grown = (peaks[-1] - peaks[tenth]) / 1000
    print(f"{len(session.seams)} seams, {len(sizes)} ticks, last tenth / second {ratio:.3f} in CPU time, {grown:.1f} MB more")
    assert session._text.sent.split() == copyist.text(words, sentence=9).split()
    assert max(sizes) <= 32 + len(engine.checkpoint.frame.header)
    assert ratio < 1.2
    assert grown < 16
