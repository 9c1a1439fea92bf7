"""Source that waits for a response: text and sound each up to what a session may read of it."""

import pytest

from engine.actions import Append, AppendAudio
from server.realtime.messages import RefusedError
from server.realtime.source import Source


@pytest.mark.parametrize("audio", [False, True])
def test_each_kind_has_its_own_bound(audio: bool) -> None:
    source = Source(max_pieces=9, max_bytes=8, max_audio_bytes=20)
    source.check(audio=audio)
    piece = AppendAudio(b"1234") if audio else Append("1234")
    for _ in range(5 if audio else 2):
        source.wait((piece, 4), last=False)
    with pytest.raises(RefusedError, match=f"9 pieces and {20 if audio else 8} bytes"):
        source.wait((piece, 4), last=False)
    source.wait(None, last=True)
    assert len(source.take()) == (5 if audio else 2)


def test_pieces_are_bounded_however_short() -> None:
    source = Source(max_pieces=2, max_bytes=8, max_audio_bytes=20)
    for _ in range(2):
        source.wait((Append(""), 0), last=False)
    with pytest.raises(RefusedError, match="2 pieces"):
        source.wait((Append(""), 0), last=False)
