"""The encoder's part of a tick is bounded, and shared fairly: a long recording keeps nobody waiting."""

from typing import Any

import pytest

from engine import hearing
from engine.actions import AppendAudio, End
from engine.request import Request
from tests import tiny

LISTEN = Request("late", head="full", audio=tiny.AUDIO)


def test_a_long_recording_is_encoded_over_several_ticks_and_a_short_one_in_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hearing, "FRAMES", 100)
    engine = tiny.hearing_engine(length=512)
    encoder, frames = engine.checkpoint.encoder, []
    assert encoder is not None
    encode = encoder.encode

    def counted(pieces: Any) -> Any:
        frames.append([len(piece.mel.seen) for piece in pieces])
        return encode(pieces)

    monkeypatch.setattr(encoder, "encode", counted)
    long, short = engine.open(LISTEN), engine.open(LISTEN)
    long.send(AppendAudio(tiny.sound(3)))
    short.send(AppendAudio(tiny.sound(0.42)))
    short.send(End())
    tiny.finish(engine, short)
    assert frames[0] == [50, 41]
    assert all(sum(each) <= 100 for each in frames)
    assert sum(each[0] for each in frames) == 299
    assert (short.done, long.done) == (True, False)
    assert long.rows.stream == 74


def test_a_cancelled_session_is_not_encoded() -> None:
    engine = tiny.hearing_engine()
    session = engine.open(LISTEN)
    session.send(AppendAudio(tiny.sound(1)))
    session.cancel()
    assert tiny.finish(engine, session)[-1].reason == "cancelled"  # type: ignore[union-attr]
    assert session.rows.stream == 0


def test_warming_up_meets_every_token_of_a_decision_and_the_decisions_of_all_sessions() -> None:
    engine, seen = tiny.hearing_engine(slots=3), set[int]()
    encoder = engine.checkpoint.encoder
    assert encoder is not None
    hook = encoder.layers[0].register_forward_hook(lambda _, args, __: seen.add(len(args[0])))
    engine.warm_up()
    hook.remove()
    assert {2, 4, 10, 18, 20, 40, 60} <= seen  # positions, 20 ms each; a decision's are 20
    assert max(seen) == 60
