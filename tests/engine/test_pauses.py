"""Where seams lie: in a pause past half of the room, or where it is nearly used; by the frames, however they come."""

from itertools import pairwise

import torch
from hypothesis import given, settings

from backbones.audio_mel import log_mel
from engine.pauses import Pauses
from tests.backbones.audio import cuts, frames

ROOM = 50
VALUES = frames(1_000, seed=3).values


def seams(at: list[int]) -> list[int]:
    pauses, found = Pauses(ROOM, pool=2), []
    for start, end in pairwise(at):
        pauses.hear(VALUES[start:end])
        while pauses.seam is not None:
            found.append(pauses.seam)
            pauses.begin()
    return found


@settings(max_examples=20, deadline=None)
@given(at=cuts(1_000))
def test_pieces_do_not_matter(at: list[int]) -> None:
    found = seams([0, 1_000])
    assert len(found) > 5
    assert all(ROOM / 2 < end - begin <= 0.9 * ROOM for begin, end in pairwise([0, *found]))
    assert seams(at) == found


def test_a_seam_waits_for_a_pause_and_not_for_ever() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(50 * 640, generator=generator) * torch.linspace(0.01, 0.5, 50 * 640)  # ever louder
    pauses = Pauses(ROOM, pool=2)
    pauses.hear(log_mel(samples, 80, 0.0))
    assert pauses.seam == 45
    samples[34 * 640 : 40 * 640] *= 0.001
    pauses = Pauses(ROOM, pool=2)
    pauses.hear(log_mel(samples, 80, 0.0))
    assert pauses.seam is not None
    assert 35 < pauses.seam < 40
