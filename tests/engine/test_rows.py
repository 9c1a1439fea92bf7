"""What a slot holds: rows are fed once and in order, and a slot that begins again forwards what it was given before it is asked."""

import torch

from backbones.layout import SourceRun, TargetRow, TargetRun
from backbones.slots import Region
from backbones.source_codec import SourceUnits
from backbones.template import Frame
from engine.rows import Rows

REGION = Region(base=0, mid=12, length=24)
FRAME = Frame(before=(1,), source_end=(8, 9), header=(5, 6, 7), end=frozenset({9}))


def fed(rows: Rows) -> Rows:
    rows.feed(rows.pending)
    return rows


def test_the_header_but_its_last_row_comes_once_the_prompt_is_there() -> None:
    rows = Rows(REGION, FRAME, (1, 2))
    assert rows.feed(1) == ([SourceRun(REGION, 0, [1])], [])
    assert rows.feed(1) == ([SourceRun(REGION, 1, [2])], [TargetRow(REGION, i, 5 + i, visible=2) for i in (0, 1)])
    assert rows.pending == 0
    assert rows.probe(None) == TargetRow(REGION, 2, 7, visible=2, probe=True)


def test_a_stream_that_leaves_no_room_for_the_source_end_does_not_fit() -> None:
    rows = Rows(REGION, FRAME, (1, 2))
    assert rows.room == (8, 10)
    assert rows.extend(SourceUnits((3,) * 8, (0,) * 8, 1))
    assert not rows.extend(SourceUnits((3,), (1,), 2))
    rows.end_source()
    assert len(rows.source) == REGION.source_capacity


def test_writing_takes_rows_but_for_the_last_token() -> None:
    rows = Rows(REGION, FRAME, (1,))
    rows.target += [3] * 9
    assert (rows.written, rows.left) == (9, 1)
    assert rows.probe(None).index == REGION.target_capacity - 1


def test_a_slot_that_begins_again_keeps_its_prompt_and_header_and_forwards_what_is_carried() -> None:
    rows = fed(Rows(REGION, FRAME, (1, 2)))
    rows.extend(SourceUnits((11, 12), (0, 1), 2))
    rows.target += [21, 22]
    fed(rows)
    rows.restart((31, 32), 2)
    assert (rows.source, rows.target, rows.pending) == ([1, 2], [5, 6, 7, 31, 32], 0)
    rows.extend(SourceUnits((41,), (0,), 1))  # half of what they see: they wait
    assert rows.pending == 1
    assert rows.feed(1) == ([SourceRun(REGION, 2, [41])], [])
    rows.extend(SourceUnits((42, 43), (1, 2), 3))
    assert rows.pending == 4
    assert rows.feed(3) == ([SourceRun(REGION, 3, [42, 43]), TargetRun(REGION, 2, [7], visible=4)], [])
    assert rows.feed(1) == ([TargetRun(REGION, 3, [31], visible=4)], [])
    assert (rows.pending, rows.probe(None)) == (0, TargetRow(REGION, 4, 32, visible=5, probe=True))


def test_with_nothing_carried_the_header_asks_again() -> None:
    rows = fed(Rows(REGION, FRAME, (1, 2)))
    rows.target += [21]
    rows.restart((), 0)
    rows.extend(SourceUnits((41,), (0,), 1))
    assert rows.pending == 1
    assert fed(rows).probe(None) == TargetRow(REGION, 2, 7, visible=3, probe=True)


def test_audio_tokens_are_fed_in_order_between_prompt_and_source_end() -> None:
    rows, heard = Rows(REGION, FRAME, (1, 2)), torch.arange(10.0).reshape(5, 2)
    assert rows.extend_heard(heard[:3], range(3))
    assert rows.extend_heard(heard[3:], range(3, 5))
    rows.end_source()
    fed = [run for count in (1, 2, 3, 3) for run in rows.feed(count)[0]]
    assert [(run.start, list(run.tokens)) for run in fed] == [(0, [1]), (1, [2, 0]), (3, [0, 0, 0]), (6, [0, 8, 9])]
    found = [(run.heard_at, None if run.heard is None else run.heard.tolist()) for run in fed if isinstance(run, SourceRun)]
    assert found == [(0, None), (1, [[0, 1]]), (0, [[2, 3], [4, 5], [6, 7]]), (0, [[8, 9]])]
    assert not rows.extend_heard(heard, range(5))


def test_audio_tokens_that_were_left_out_keep_their_numbers() -> None:
    rows, heard = Rows(REGION, FRAME, (1, 2)), torch.arange(6.0).reshape(3, 2)
    assert rows.extend_heard(heard[:0], [])
    assert rows.extend_heard(heard[:2], [1, 4])
    assert rows.extend_heard(heard[2:], [5])
    units = fed(rows).probe(8).units
    assert units is not None
    assert (units.first, units.of_token.tolist(), units.count) == (2, [1, 4, 5], 8)
    assert rows.stream == 3
