"""Sessions of a task with `ctc_weight`, through the real engine: what is weighed is what was heard up to the decision, and no more."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from backbones.audio_mel import LOOKAHEAD, MelFrames, log_mel
from backbones.audio_posteriors import Vocabulary
from backbones.ctc_prefix import CtcPrefix
from backbones.template import end_token
from engine.actions import AppendAudio, Done, End, Event, Write
from engine.engine import Engine
from engine.request import Request
from engine.session import Session
from tests import tiny
from tests.engine.heard import pieces, told

PCM = tiny.sound(3.3)
WEIGHED = {name: tiny.HEARING["late"].model_copy(update={"ctc_weight": weight}) for name, weight in (("half", 0.5), ("late", 0.0))}


def engine(slots: int = 1, length: int = 256) -> Engine:
    """Its encoder was never trained: what CTC hears is noise, and something else at every place."""
    made = tiny.hearing_engine(slots=slots, length=length)
    checkpoint = made.checkpoint
    model = checkpoint.backbone.model
    end = end_token(checkpoint.frame.end, checkpoint.tokenizer.eos_token_id)
    made.checkpoint = replace(
        checkpoint,
        config=checkpoint.config.model_copy(update={"tasks": WEIGHED}),
        spoken=Vocabulary(model.get_output_embeddings().weight.detach(), model.get_input_embeddings().weight.detach(), end),
    )
    return made


def request(task: str = "half", **changes: Any) -> Request:
    return Request(task, **{"head": "entropy", "threshold": 0.3, "audio": tiny.AUDIO, "decisions": True, **changes})


def run(made: Engine, asked: Request, cuts: list[int]) -> list[Event]:
    return tiny.run(made, asked, pieces(PCM, cuts))


def text(events: list[Event]) -> str:
    assert isinstance(events[-1], Done)
    return events[-1].text


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, len(PCM) // 2), max_size=10), rollover=st.booleans())
def test_the_same_samples_in_any_pieces_give_the_same_decisions(cuts: list[int], rollover: bool) -> None:
    """Over seams as well, where CTC forgets with the slot."""
    asked, length = request(rollover=rollover), 75 if rollover else 256
    whole = run(engine(length=length), asked, [])
    assert told(run(engine(length=length), asked, cuts)) == told(whole)
    assert any(isinstance(event, Write) for event in whole)


def test_every_probe_is_weighed_with_what_was_heard_and_written_up_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against prefixes made anew from the encoder in one shot."""
    made, probes = engine(), []
    inner = made.runner._probes

    def watched(sessions: list[Session], logits: torch.Tensor, attention: dict[int, torch.Tensor]) -> Any:
        (session,) = sessions
        own = logits[0].clone()
        out = inner(sessions, logits, attention)
        ended = session.controller.source_ended
        probes.append((session.rows.stream, session.rows.target[session.rows.header :], ended, own, out[0]))
        return out

    monkeypatch.setattr(made.runner, "_probes", watched)
    run(made, request(threshold=0.6), [5_000, 5_100, 30_000])
    samples = torch.frombuffer(bytearray(PCM), dtype=torch.int16) / 32_768
    values = log_mel(samples, 80, 0.0)
    encoder, spoken = made.checkpoint.encoder, made.checkpoint.spoken
    assert encoder is not None
    assert spoken is not None
    heard = encoder.whole([MelFrames(values, [min(160 * i + LOOKAHEAD, len(samples)) for i in range(len(values))])])[0].embeddings
    for stream, written, ended, logits, probe in probes:
        prefix = CtcPrefix(spoken)
        prefix.hear(heard[:stream].detach())
        for token in written:
            prefix.write(token)
        weighed = prefix.weigh(logits, 0.5, made.checkpoint.frame.end, ended=ended)
        p = weighed.double().softmax(-1)
        assert probe.entropy == pytest.approx(float(-torch.special.xlogy(p, p).sum()), abs=1e-4)
        assert weighed[probe.token] == weighed.max()
    assert len({stream for stream, *_ in probes}) > 2
    assert len({len(written) for _, written, *_ in probes}) > 3


def test_a_neighbour_without_it_is_not_weighed() -> None:
    alone = {task: told(run(engine(), request(task), [])) for task in WEIGHED}
    assert alone["half"] != alone["late"]
    made = engine(slots=2)
    sessions = {task: made.open(request(task)) for task in WEIGHED}
    for session in sessions.values():
        session.send(AppendAudio(PCM))
        session.send(End())
    events: dict[Session, list[Event]] = {session: [] for session in sessions.values()}
    while made.busy:
        for session, event in made.step():
            events[session].append(event)
    assert {task: told(events[session]) for task, session in sessions.items()} == alone


def test_what_was_not_heard_is_not_written() -> None:
    """CTC hears the blank at every place: the target ends with the source, and nothing is written."""
    made = engine()
    spoken = made.checkpoint.spoken
    assert spoken is not None
    encoder = made.checkpoint.encoder
    assert encoder is not None
    # Nobody trained the encoder: all that it hears lies near the bias of its last product.
    sure = torch.zeros_like(spoken.head)
    bias = encoder.projector[-1].bias.detach()  # type: ignore[operator, union-attr]
    sure[spoken.blank] = 1e3 * functional.rms_norm(bias, bias.shape)  # type: ignore[index, operator]
    made.checkpoint = replace(made.checkpoint, spoken=replace(spoken, head=sure))
    for forced in ({}, {"max_lag": 400}):
        assert text(run(made, request(threshold=0.0, **forced), [])) == ""
    assert text(run(engine(), request("late", threshold=0.0), [])) != ""
