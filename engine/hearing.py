"""The encoder's part of a tick: what all audio sessions have heard since the last one, in one forward. Knows no decision and no text."""

from collections.abc import Iterable

from backbones.audio_encoder import AudioEncoder
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
