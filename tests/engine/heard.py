"""What a session that hears is sent, what it told, to compare two of them, and an engine that hears nothing."""

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch

from backbones.audio_posteriors import Vocabulary
from engine.actions import AppendAudio, Decision, Done, End, Event, Message, Write
from engine.engine import Engine
from engine.request import Request
from engine.session import Session
from tests import tiny


def told(events: list[Event]) -> list[tuple[Any, ...]]:
    """What does not depend on how the samples were cut: all but the reads and the numbers of messages."""
    found: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, Write):
            found.append((event.text, event.index, event.count, event.phi))
        elif isinstance(event, Decision):
            found.append((event.action, event.phi, event.index, pytest.approx(event.score, abs=1e-4)))
        elif isinstance(event, Done):
            found.append((event.text, event.reason, event.usage, event.rco, event.ail))
    return found


def pieces(pcm: bytes, cuts: list[int]) -> list[Message]:
    """Samples of two bytes as messages, and their end. `cuts` are in samples."""
    inner = sorted(2 * cut for cut in cuts)
    return [*(AppendAudio(pcm[start:end]) for start, end in pairwise([0, *inner, len(pcm)])), End()]


def together(engine: Engine, plan: Sequence[tuple[Request, bytes]], size: int) -> dict[Session, list[Event]]:
    """Sessions beside each other, so many bytes of each and a tick, in turn; what each told, in the order of the plan."""
    sessions = [engine.open(asked) for asked, _ in plan]
    found: dict[Session, list[Event]] = {session: [] for session in sessions}
    for at in range(0, max(len(pcm) for _, pcm in plan), size):
        for session, (_, pcm) in zip(sessions, plan, strict=True):
            if not session.done:
                session.send(AppendAudio(pcm[at : at + size]))
        for session, event in engine.step():
            found[session].append(event)
    for session in sessions:
        if not session.done:
            session.send(End())
    while engine.busy:
        for session, event in engine.step():
            found[session].append(event)
    return found


def hears_blanks(**options: Any) -> Engine:
    """One whose encoder takes every sound for the blank, which is left out."""
    engine = tiny.hearing_engine(posteriors=True, **options)
    encoder = copy(engine.checkpoint.encoder)
    assert encoder is not None
    assert encoder.vocabulary is not None
    encoder.vocabulary = Vocabulary(torch.zeros_like(encoder.vocabulary.head), encoder.vocabulary.embeddings, blank=0)
    engine.checkpoint = replace(engine.checkpoint, encoder=encoder)
    return engine
