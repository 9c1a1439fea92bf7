"""What is kept of a stream between two forwards: never more than the next frames need."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings

from backbones.audio_mel import MelFrames
from backbones.audio_state import EncoderState, Segment
from errors import BadStateError
from tests.backbones.audio import CONFIG, cuts, part

CACHE = torch.zeros(1)


def ones(count: int) -> MelFrames:
    return MelFrames(torch.ones(count, 80), [10 * (i + 1) for i in range(count)])


@settings(deadline=None)
@given(at=cuts(61))
def test_every_position_is_placed_once_in_rows_that_follow_each_other(at: list[int]) -> None:
    state, segments, seen = EncoderState(CONFIG, CACHE), [], []
    for number, (start, end) in enumerate(pairwise(at)):
        taken = state.take(part(ones(61), start, end), first=len(seen), last=number == len(at) - 2)
        assert taken.frames.shape == (2 * len(taken.seen) + 3, 80)
        segments += taken.segments
        seen += taken.seen
    # 61 frames are 31 positions: less than a window here. Each waits for the frame two behind its first, the last for the end.
    assert seen == [10 * min(2 * j + 3, 61) for j in range(31)]
    assert [row for one in segments for row in range(one.row, one.row + one.count)] == list(range(31))
    assert [number for one in segments for number in range(one.first, one.first + one.count)] == list(range(31))


def test_what_stands_outside_the_stream_is_silenced_in_the_first_and_the_last_positions_only() -> None:
    state = EncoderState(CONFIG, CACHE)
    assert state.take(ones(2), first=0, last=False).silenced == []
    assert state.take(ones(5), first=0, last=False).silenced == [0]
    assert state.take(ones(4), first=0, last=False).silenced == []
    assert state.take(ones(2), first=0, last=True).silenced == [4]  # 13 frames: the 14th of conv1 is behind the end
    even = EncoderState(CONFIG, CACHE)
    assert even.take(ones(6), first=0, last=True).silenced == [0]


def test_an_odd_position_waits_for_its_partner_and_stands_alone_at_the_end() -> None:
    state = EncoderState(CONFIG, CACHE)
    pooled, seen = state.pool(torch.tensor([[1.0], [3.0], [10.0]]), [1, 2, 3])
    assert (pooled.tolist(), seen) == ([[2.0]], [2])
    pooled, seen = state.pool(torch.zeros(0, 1), [])
    assert (pooled.tolist(), seen) == ([], [])
    state.take(ones(1), first=0, last=True)
    pooled, seen = state.pool(torch.tensor([[20.0], [7.0]]), [4, 5])
    assert (pooled.tolist(), seen) == ([[15.0], [7.0]], [4, 5])


def test_the_mask_lets_a_position_see_itself_and_all_before_it() -> None:
    assert Segment(CACHE, first=0, count=2, row=1, block=1).mask.int().tolist() == [[1, 1, 0], [1, 1, 1]]


def test_the_mask_lets_a_position_see_its_block_as_far_as_there_is_one() -> None:
    assert Segment(CACHE, first=0, count=3, row=2, block=2).mask.int().tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]


def test_positions_wait_for_their_block_and_at_a_cut_or_the_end_for_none() -> None:
    state = EncoderState(CONFIG.model_copy(update={"block": 4}), CACHE)
    assert state.take(ones(11), first=0, last=False).seen == [90] * 4  # the fifth is complete too, and waits
    assert state.take(part(ones(15), 11, 15), first=0, last=False).seen == []
    assert state.take(part(ones(16), 15, 16), first=0, last=False, cut=True).seen == [150] * 3
    assert state.take(part(ones(20), 16, 20), first=0, last=False).seen == [170]  # without a restart, what is left of the block
    (segment,) = state.take(part(ones(25), 20, 25), first=0, last=True).segments
    assert (segment.row, segment.count) == (8, 5)


def test_a_restart_begins_a_window_between_two_tokens_only() -> None:
    state = EncoderState(CONFIG, CACHE)
    taken = state.take(ones(9), first=0, last=False)
    state.pool(torch.zeros(4, 1), taken.seen)
    state.restart()
    (segment,) = state.take(ones(6), first=0, last=False).segments
    assert (segment.row, segment.count) == (0, 3)
    state.pool(torch.zeros(3, 1), [1, 2, 3])
    with pytest.raises(BadStateError, match="within one"):
        state.restart()
