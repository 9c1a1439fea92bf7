"""The encoder's part of a tick: what all audio sessions have heard since the last one, in one forward. Knows no decision and no text."""

from collections.abc import Iterable

import torch

from backbones.audio_encoder import AudioEncoder, Piece
from backbones.audio_mel import MelFrames
from engine.audio_session import AudioSession

FRAMES = 1024  # log-mel frames (10 ms) of one forward, shared evenly: one long piece must not keep the others waiting
LEAST = 4  # of a session: one audio token


def hear(encoder: AudioEncoder, sessions: Iterable[AudioSession]) -> None:
    """One forward for those that wait for it; what is too much for it waits for the next."""
    waiting = [session for session in sessions if session.unheard]
    if not waiting:
        return
    share = max(FRAMES // len(waiting), LEAST)
    for session, tokens in zip(waiting, encoder.encode([session.piece(share) for session in waiting]), strict=True):
        session.hear(tokens)


def warm_up(encoder: AudioEncoder, *, step: int, sessions: int) -> None:
    """The forwards that most ticks need: of every audio token of a decision's `step` frames, and of so many sessions' steps at once."""
    sizes = {*range(LEAST, step, LEAST), *range(step, min(step * sessions, FRAMES) + 1, step)}
    state = encoder.open()
    for size in (LEAST, *sorted(sizes)):  # the first frames of a stream make a position less than as many later ones
        encoder.encode([Piece(state, MelFrames(torch.zeros(size, encoder.config.bins), [0] * size))])
