"""Sessions that hear: a trajectory is a function of the samples, equals the offline model on every prefix, and knows no future."""

from dataclasses import replace
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones import visibility
from backbones.audio_mel import LOOKAHEAD, MelFrames, log_mel
from backbones.audio_pcm import AudioFormat
from backbones.visibility import Trajectory
from engine.actions import Append, AppendAudio, Decision, Done, End, Event, Failure, Message, Read, Write
from engine.audio_session import AudioSession
from engine.engine import Engine
from engine.request import Request
from errors import BadStateError, InvalidValueError
from tasks.base import Task
from tests import tiny
from tests.backbones.audio import noise
from tests.engine.heard import hears_blanks, pieces, told

SECONDS = 3.3
PCM = tiny.sound(SECONDS)
STEP = 2 * 6_400  # bytes of a decision's 400 ms
REQUESTS = (
    Request("listen", threshold=0.32, audio=tiny.AUDIO, decisions=True),
    Request("listen", head="attention", head_params={"accumulate": True}, threshold=0.05, audio=tiny.AUDIO, decisions=True),
    Request("listen", head="align_att", threshold=1.0, audio=tiny.AUDIO, decisions=True),
    Request("late", threshold=3.0, audio=tiny.AUDIO, decisions=True),
)


BLOCK = 20  # positions: a decision's 400 ms
WHOLES = {
    block: [told(tiny.run(tiny.hearing_engine(block=block), request, pieces(PCM, []))) for request in REQUESTS] for block in (1, BLOCK)
}
WHOLE = WHOLES[1]


@settings(max_examples=16, deadline=None)
@given(
    cuts=st.lists(st.integers(0, len(PCM) // 2), max_size=12), which=st.integers(0, len(REQUESTS) - 1), block=st.sampled_from([1, BLOCK])
)
def test_the_same_samples_in_any_pieces_give_the_same_decisions(cuts: list[int], which: int, block: int) -> None:
    messages = pieces(PCM, cuts)
    events = tiny.run(tiny.hearing_engine(slots=1, block=block), REQUESTS[which], messages)
    assert told(events) == WHOLES[block][which]
    reads = [event.n for event in events if isinstance(event, Read)]
    assert sorted(set(reads)) == list(range(1, reads[-1] + 1) if reads else [])
    if events[-1].reason == "end":  # type: ignore[union-attr]
        assert len(set(reads)) == len(messages) - 1


@pytest.mark.parametrize("block", [1, BLOCK])
def test_every_message_is_answered_once_its_decisions_are_taken(block: int) -> None:
    """Decisions come after 10 audio tokens each, and the token's look-ahead; a message without one is only answered. Blocks as long cost no
    lag."""
    asked = Request("late", head="full", audio=tiny.AUDIO)
    events = tiny.run(tiny.hearing_engine(block=block), asked, pieces(PCM, [3_000, 6_599, 6_600, 20_000]))
    reads = [(event.n, event.phi) for event in events if isinstance(event, Read)]
    # The tenth token waits for sample 640 * 9 + 839: 6,600 samples are 412.5 ms.
    assert reads == [(1, 0), (2, 0), (3, 413), (4, 1213), (5, 3213)]


def test_phi_is_in_ms_and_heads_count_audio_tokens_and_decision_points() -> None:
    engine = tiny.hearing_engine()
    session = engine.open(Request("late", threshold=5.0, audio=tiny.AUDIO))
    session.send(AppendAudio(PCM[: 2 * 16_000]))
    while engine.busy:
        engine.step()
    assert (session.controller.phi, session.visible, session.steps) == (813, 24, 2)


@pytest.mark.parametrize("rate", [8_000, 44_100])
def test_other_rates_keep_their_own_time(rate: int) -> None:
    form = AudioFormat("float32", rate, channels=2)
    samples = noise(2 * rate)[:, None].repeat(1, 2).numpy().tobytes()
    messages: list[Message] = [*(AppendAudio(samples[start : start + 8 * 999]) for start in range(0, len(samples), 8 * 999)), End()]
    events = tiny.run(tiny.hearing_engine(), Request("late", head="full", audio=form), messages)
    phis = sorted({event.phi for event in events if isinstance(event, Read)})
    assert phis[0] == 0
    assert all(400 * i + 12 <= phi <= 400 * i + 130 for i, phi in enumerate(phis[1:], 1))  # the resampler waits for up to 115 ms
    done = events[-1]
    assert isinstance(done, Done)
    assert (done.usage.source_units, done.usage.source_tokens) == (2000, 50)


class Recorded:
    """Every probe of an engine's one session: its logits, and what it was computed from."""

    def __init__(self, engine: Engine) -> None:
        self.probes: list[tuple[int, list[int], list[int], torch.Tensor]] = []
        inner = engine.runner._probes

        def probes(sessions: Any, logits: torch.Tensor, attention: Any) -> Any:
            rows = sessions[0].rows
            self.probes.append((rows.stream, list(rows.source), list(rows.target), logits[0].clone()))
            return inner(sessions, logits, attention)

        engine.runner._probes = probes  # type: ignore[method-assign]


def offline(model: Any, trajectory: Trajectory, prefix: int, heard: torch.Tensor) -> torch.Tensor:
    """[T, V]: one unpacked forward under the dense mask, with the audio tokens' embeddings in their places."""
    ids = torch.tensor([[*trajectory.source, *trajectory.target]])
    embedded = model.get_input_embeddings()(ids)
    embedded[0, prefix : prefix + len(heard)] = heard
    out = model(
        inputs_embeds=embedded,
        position_ids=visibility.positions(trajectory, 0),
        attention_mask=visibility.mask(trajectory, embedded.dtype),
        use_cache=False,
    )
    logits: torch.Tensor = out.logits[0, len(trajectory.source) :]
    return logits


@pytest.mark.parametrize(("family", "block"), [("qwen2", 1), ("qwen2", BLOCK), ("llama", 1)])
@pytest.mark.parametrize("seed", [0, 1])
def test_streaming_equals_offline_on_every_prefix(family: str, block: int, seed: int) -> None:
    """The samples in random pieces against the encoder in one shot and the model in one forward, at every probe."""
    checkpoint, engine, rng = tiny.hearing(family, block=block), tiny.hearing_engine(family=family, block=block), Random(seed)
    recorded = Recorded(engine)
    engine.scheduler.budget = rng.choice([5, 64])  # the prompt and the stream in one tick, or in several
    cuts = [rng.randrange(len(PCM) // 2) for _ in range(8)]
    tiny.run(engine, Request("listen", threshold=0.36, audio=tiny.AUDIO), pieces(PCM, cuts))
    assert checkpoint.encoder is not None
    samples = torch.frombuffer(bytearray(PCM), dtype=torch.int16) / 32_768
    values = log_mel(samples, 80, 0.0)
    seen = [min(160 * i + LOOKAHEAD, len(samples)) for i in range(len(values))]
    model = tiny.model(family, attn="eager", vocab_size=checkpoint.backbone.vocab_size)
    prefix = len(checkpoint.frame.before) + len(checkpoint.codec.encode("Write it down:\n").tokens)
    header = len(checkpoint.frame.header)
    visible = [prefix] * (header - 1)
    streams = set()
    with torch.inference_mode():
        tokens = checkpoint.encoder.whole([MelFrames(values, seen)])[0].embeddings
        for stream, source, target, logits in recorded.probes:
            visible[len(target) - 1 :] = [len(source)]
            truth = offline(model, Trajectory(source, target, visible), prefix, tokens[:stream])
            torch.testing.assert_close(logits, truth[-1], atol=1e-4, rtol=0)
            streams.add(stream)
    assert len(streams) > 2  # several prefixes were probed
    assert len(visible) > header


@settings(max_examples=12, deadline=None)
@given(at=st.integers(0, len(PCM) // 2 - 1), which=st.integers(0, len(REQUESTS) - 1), block=st.sampled_from([1, BLOCK]))
def test_samples_to_come_change_nothing_that_is_told_before_them(at: int, which: int, block: int) -> None:
    """From sample `at` on it is another recording: what was told at a phi of up to there is the same."""
    other = PCM[: 2 * at] + tiny.pcm16(noise(len(PCM) // 2 - at, seed=9).flip(0) * 3)
    events = told(tiny.run(tiny.hearing_engine(block=block), REQUESTS[which], pieces(other, [at])))
    before = [event for event in WHOLES[block][which] if _phi(event) * 16 <= at]
    assert events[: len(before)] == before


def _phi(event: tuple[Any, ...]) -> float:
    return (
        event[1] if isinstance(event[0], str) and event[0] in ("read", "write") else event[3] if isinstance(event[1], int) else float("inf")
    )


def test_many_sessions_share_the_encoders_forward_and_none_hears_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four that hear and one that reads, in two slots' worth of ticks each, against each one alone."""
    engine, rng = tiny.hearing_engine(tick_tokens=24), Random(3)
    assert engine.checkpoint.encoder is not None
    shared: list[int] = []
    encode = engine.checkpoint.encoder.encode
    monkeypatch.setattr(engine.checkpoint.encoder, "encode", lambda parts: (shared.append(len(parts)), encode(parts))[1])
    plan = [(request, pieces(PCM, [rng.randrange(len(PCM) // 2) for _ in range(5)])) for request in REQUESTS]
    plan.append((Request("listen", threshold=0.4, decisions=True), tiny.words("the dog sat down")))
    sessions = [engine.open(request) for request, _ in plan]
    events: dict[Any, list[Event]] = {session: [] for session in sessions}
    queues = [list(messages) for _, messages in plan]
    while any(queues) or engine.busy:
        for session, queue in zip(sessions, queues, strict=True):
            if queue and not session.done:
                session.send(queue.pop(0))
            elif session.done:
                queue.clear()
        for session, event in engine.step():
            events[session].append(event)
    for index, session in enumerate(sessions):
        alone = WHOLE[index] if index < len(WHOLE) else told(tiny.run(tiny.engine(), *_as_echo(plan[index])))
        if index < len(WHOLE):
            assert told(events[session]) == alone
        else:
            assert isinstance(events[session][-1], Done)
    assert max(shared) >= 3
    assert engine.free_slots == engine.capacity.slots


def _as_echo(plan: tuple[Request, list[Message]]) -> tuple[Request, list[Message]]:
    return Request("echo", threshold=0.4, decisions=True), plan[1]


@pytest.mark.parametrize(
    ("pcm", "told_of"),
    [
        (PCM[:4_001], "multiple of 2 bytes"),
        (PCM[:4_000] + b"RIFF\x24\x08\x00\x00WAVEfmt ", "header of a WAV file"),
        (b"fLaC\x00\x00\x00\x22" + PCM[:4_000], "header of a FLAC file"),
        (b"OggS\x00\x02" + PCM[:4_000], "header of a Ogg file"),
    ],
)
def test_bytes_that_are_no_samples_end_their_session_and_no_other(pcm: bytes, told_of: str) -> None:
    engine = tiny.hearing_engine(slots=2)
    neighbour, broken = engine.open(REQUESTS[0]), engine.open(REQUESTS[1])
    heard: dict[Any, list[Event]] = {neighbour: [], broken: []}
    broken.send(AppendAudio(PCM[:STEP]))
    for message in pieces(PCM, [8_000]):
        neighbour.send(message)
    broken.send(AppendAudio(pcm))
    while engine.busy:
        for session, event in engine.step():
            heard[session].append(event)
    failure, done = heard[broken][-2:]
    assert isinstance(failure, Failure)
    assert told_of in failure.error.message
    assert failure.n == 2
    assert isinstance(done, Done)
    assert done.reason == "error"
    assert told(heard[neighbour]) == WHOLE[0]
    assert engine.free_slots == 2


def test_samples_that_are_not_finite_end_the_session() -> None:
    form = AudioFormat("float32", 16_000)
    bad = torch.tensor([0.0, float("nan"), 0.1]).numpy().tobytes()
    events = tiny.run(tiny.hearing_engine(), Request("listen", audio=form), [AppendAudio(bad)])
    assert isinstance(events[0], Failure)
    assert "finite" in events[0].error.message


def test_a_header_that_is_cut_in_two_is_found() -> None:
    header = b"RIFF\x24\x08\x00\x00WAVEfmt \x10\x00\x00\x00"
    events = tiny.run(
        tiny.hearing_engine(), Request("listen", audio=tiny.AUDIO), [AppendAudio(PCM[:90] + header[:6]), AppendAudio(header[6:])]
    )
    assert isinstance(events[-2], Failure)
    assert events[-2].n == 2


def test_a_slot_that_is_full_ends_the_session() -> None:
    engine = tiny.hearing_engine(slots=1, length=80)
    events = tiny.run(engine, Request("listen", head="full", audio=tiny.AUDIO), pieces(PCM, list(range(0, len(PCM) // 2, 4_000))))
    done = events[-1]
    assert isinstance(done, Done)
    assert done.reason == "context"
    assert engine.free_slots == 1


def test_a_session_without_a_sample_writes_what_it_must() -> None:
    for form in (tiny.AUDIO, AudioFormat("pcm16", 8_000)):
        done = tiny.run(tiny.hearing_engine(), Request("listen", audio=form), [AppendAudio(b""), End()])[-1]
        assert isinstance(done, Done)
        assert (done.usage.source_tokens, done.usage.source_units) == (0, 0)


def test_text_and_audio_are_not_mixed() -> None:
    engine = tiny.hearing_engine()
    with pytest.raises(BadStateError, match="expected AppendAudio as source, got Append"):
        engine.open(REQUESTS[0]).send(Append("the dog "))
    with pytest.raises(BadStateError, match="expected Append as source, got AppendAudio"):
        engine.open(Request("listen")).send(AppendAudio(PCM))


def test_a_model_that_reads_text_only_refuses_audio_and_keeps_its_slot() -> None:
    engine = tiny.engine()
    with pytest.raises(InvalidValueError, match="reads text only"):
        engine.open(Request("echo", audio=tiny.AUDIO))
    assert engine.free_slots == engine.capacity.slots


def test_the_encoders_memory_is_part_of_the_budget() -> None:
    encoder = tiny.hearing().encoder
    assert encoder is not None
    hears, reads = tiny.hearing_engine(slots=3, length=256).capacity, tiny.engine(slots=3, length=256).capacity
    assert (hears.slots, hears.slot_bytes) == (3, reads.slot_bytes + encoder.state_bytes)


@pytest.mark.parametrize("gate", [True, False])
@pytest.mark.parametrize("loudness", [0.0, 0.001, 0.1], ids=["silence", "hum", "noise"])
def test_a_minute_of_silence_or_noise_gives_no_token_behind_the_gate(loudness: float, gate: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    pcm = tiny.pcm16(torch.randn(60 * 16_000, generator=generator) * loudness)
    engine = tiny.hearing_engine(slots=1, length=1_600)
    request = Request("listen", threshold=0.3, audio=tiny.AUDIO, silence_gate=gate)
    messages = [*(AppendAudio(pcm[start : start + 64_000]) for start in range(0, len(pcm), 64_000)), End()]
    events = tiny.run(engine, request, messages)
    done = events[-1]
    assert isinstance(done, Done)
    if gate:
        assert (done.text, done.reason, done.usage.probes, done.usage.source_units) == ("", "end", 0, 60_000)
        assert all(isinstance(event, Read) for event in events[:-1])
    else:
        assert done.usage.target_tokens > 0  # the gate is what keeps it quiet


def test_speech_opens_the_gate_and_silence_behind_it_closes_it() -> None:
    """Two seconds of silence, two of sound, six of silence: decisions from the sound to two seconds behind it."""
    pcm = bytes(64_000) + tiny.pcm16(noise(32_000, seed=1) * 2) + bytes(2 * 6 * 16_000)
    events = tiny.run(
        tiny.hearing_engine(slots=1, length=512),
        Request("late", head="full", audio=tiny.AUDIO, silence_gate=True, decisions=True),
        [AppendAudio(pcm), End()],
    )
    phis = [event.phi for event in events if isinstance(event, Decision) and event.action == "read"]
    assert phis
    assert 2_000 < phis[0] < 3_300
    assert 4_000 < phis[-1] < 6_500


def test_a_session_that_is_cancelled_has_nothing_left_for_the_encoder() -> None:
    engine = tiny.hearing_engine()
    session = engine.open(REQUESTS[0])
    session.send(AppendAudio(PCM))
    assert isinstance(session, AudioSession)
    assert session.unheard
    session.cancel()
    assert not session.unheard
    engine.emit()
    assert not engine.busy
    assert engine.free_slots == engine.capacity.slots


COMPRESSED = {"posteriors": True, "blank": tiny.BLANK}


@settings(max_examples=8, deadline=None)
@given(cuts=st.lists(st.integers(0, len(PCM) // 2), max_size=12), which=st.integers(0, len(REQUESTS) - 1))
def test_what_ctc_leaves_out_takes_no_rows_however_samples_are_cut(cuts: list[int], which: int) -> None:
    """Decisions come at the same phi as where all reaches the backbone."""
    whole, cut = (
        tiny.run(tiny.hearing_engine(slots=1, **COMPRESSED), REQUESTS[which], pieces(PCM, where))  # type: ignore[arg-type]  # by name
        for where in ([], cuts)
    )
    assert told(cut) == told(whole)
    everything = tiny.run(tiny.hearing_engine(slots=1, posteriors=True), REQUESTS[which], pieces(PCM, []))
    phis = [[event.phi for event in events if isinstance(event, Decision)] for events in (whole, everything)]
    common = min(max(phis[0]), max(phis[1]))
    assert {phi for phi in phis[0] if phi <= common} == {phi for phi in phis[1] if phi <= common}


def test_a_stream_of_blanks_alone_is_decided_at_its_end() -> None:
    events = tiny.run(hears_blanks(slots=1), REQUESTS[0], pieces(PCM, []))
    decisions = [event for event in events if isinstance(event, Decision)]
    assert {decision.phi for decision in decisions} == {3300}
    done = events[-1]
    assert isinstance(done, Done)
    assert done.usage.source_tokens == 0


def test_what_is_said_of_so_many_seconds_is_bounded() -> None:
    """The random model goes on and on: 16 tokens, and 5 for each of 3.3 seconds, are all that it may say."""
    engine = tiny.hearing_engine()
    tasks = {"short": Task(prompt="", max_output_tokens=100, max_output_rate=5)}
    engine.checkpoint = replace(engine.checkpoint, config=engine.checkpoint.config.model_copy(update={"tasks": tasks}))
    events = tiny.run(engine, Request("short", head="full", audio=tiny.AUDIO), pieces(PCM, []))
    done = events[-1]
    assert isinstance(done, Done)
    written = sum(event.count for event in events if isinstance(event, Write))
    assert (written, done.reason) == (16 + 17, "length")  # the first count that is not below 32.5
