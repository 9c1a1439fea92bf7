"""What a tick packs: rows, positions, slices and masks, by hand."""

import torch

from backbones.layout import SourceRun, TargetRow, TargetRun, Units, pack, round_size
from backbones.slots import KVSlots, SlotShape

SLOTS = KVSlots(SlotShape(1, 1, 2, torch.float32), count=2, length=16)
A, B = SLOTS.acquire(6), SLOTS.acquire(6)
INF = float("-inf")


def test_positions_count_within_each_group() -> None:
    layout = pack([SourceRun(A, 3, [11, 12])], [TargetRow(A, 2, 21, visible=5, probe=True)], offset=100, group=1, dtype=torch.float32)
    assert layout.tokens.tolist() == [[11, 12, 21]]
    assert layout.positions.tolist() == [[3, 4, 102]]
    assert layout.rows.tolist() == [A.source_row(3), A.source_row(4), A.target_row(2)]


def test_a_run_and_its_probe_are_one_query_whose_mask_hides_the_target_from_the_source() -> None:
    layout = pack([SourceRun(A, 1, [11, 12])], [TargetRow(A, 1, 21, visible=3, probe=True)], offset=0, group=2, dtype=torch.float32)
    (query,) = layout.queries
    assert (query.low, query.high, query.count) == (A.mid - 2, A.mid + 3, 3)
    expected = torch.tensor([[INF, INF, 0, 0, INF], [INF, INF, 0, 0, 0], [0, 0, 0, 0, 0]])
    assert query.mask is not None
    assert torch.equal(query.mask, expected.repeat(2, 1))  # once for each query head of the key head


def test_a_run_of_target_lies_from_right_to_left_and_sees_no_later_token() -> None:
    layout = pack([TargetRun(A, 1, [21, 22, 23], visible=2)], [], offset=100, group=2, dtype=torch.float32)
    assert layout.positions.tolist() == [[101, 102, 103]]
    assert layout.rows.tolist() == [A.target_row(1), A.target_row(2), A.target_row(3)]
    (query,) = layout.queries
    assert (query.low, query.high, query.count) == (A.mid - 4, A.mid + 2, 3)
    expected = torch.tensor([[INF, INF, 0, 0, 0, 0], [INF, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])
    assert query.mask is not None
    assert torch.equal(query.mask, expected.repeat(2, 1))
    (one,) = pack([TargetRun(A, 1, [21], visible=2)], [], offset=0, group=2, dtype=torch.float32).queries
    assert (one.low, one.high, one.mask) == (A.mid - 2, A.mid + 2, None)


def test_a_probe_alone_and_a_single_token_need_no_mask() -> None:
    layout = pack([SourceRun(B, 4, [11])], [TargetRow(A, 1, 21, visible=3, probe=True)], offset=0, group=2, dtype=torch.float32)
    assert [query.mask for query in layout.queries] == [None, None]
    assert [(q.low, q.high) for q in layout.queries] == [(B.mid, B.mid + 5), (A.mid - 2, A.mid + 3)]


def test_probes_come_out_in_the_order_given_wherever_they_were_packed() -> None:
    a, b = TargetRow(A, 0, 21, visible=1, probe=True), TargetRow(B, 0, 22, visible=1, probe=True)
    layout = pack([SourceRun(B, 0, [11])], [a, b], offset=0, group=1, dtype=torch.float32)
    assert layout.tokens[0, layout.probes].tolist() == [21, 22]
    assert layout.tokens.tolist() == [[11, 22, 21]]


def test_only_probes_that_ask_are_tapped_and_prompt_columns_are_skipped() -> None:
    units = Units(first=2, of_token=torch.tensor([0, 0, 1]), count=2)
    asks, silent = TargetRow(A, 1, 21, visible=5, probe=True, units=units), TargetRow(B, 0, 22, visible=1, probe=True)
    layout = pack([], [silent, asks], offset=0, group=1, dtype=torch.float32)
    (tap,) = layout.tapped
    assert (tap.probe, tap.low, tap.high) == (1, A.mid - 2, A.mid + 5)
    assert tap.low + tap.column == A.source_row(2)


def test_padding_never_points_at_another_sessions_rows() -> None:
    """A zero weight does not hide a neighbour's NaN."""
    runs = [SourceRun(A, 0, [1, 2, 3, 4])]
    layout = pack(runs, [TargetRow(B, 0, 21, visible=0, probe=True)], offset=0, group=2, dtype=torch.float32)
    padded = layout.padded
    assert padded.keys.shape == (2, 4)
    assert set(padded.keys[1].tolist()) == {B.target_row(0)}
    assert padded.valid.tolist() == [[True] * 4, [True, False, False, False]]
    assert padded.mask.shape == (2, 1, 8, 4)
    assert not torch.isinf(padded.mask).all(dim=-1).any()  # every row sees something


def test_a_tick_is_filled_up_to_one_of_few_sizes_with_rows_that_are_nobodys() -> None:
    scratch = SLOTS.scratch.base
    run = SourceRun(A, 0, [1, 2, 3])
    layout = pack(
        [run],
        [TargetRow(B, 0, 21, visible=0, probe=True), TargetRow(A, 0, 22, visible=3)],
        offset=0,
        group=1,
        dtype=torch.float32,
        scratch=scratch,
    )
    assert (layout.tokens.shape, layout.spare) == ((1, 8), 3)
    assert layout.rows[-3:].tolist() == [scratch] * 3
    assert sum(query.count for query in layout.queries) == 5
    assert layout.tokens[0, layout.probes].tolist() == [21]


def test_sizes_are_few_and_never_too_small() -> None:
    sizes = {round_size(count) for count in range(257)}
    assert len(sizes) == 15
    assert all(count <= round_size(count) < 2 * count for count in range(1, 257))
    assert [round_size(count) for count in (0, 1, 2, 3, 16, 17, 129, 1025)] == [0, 1, 2, 4, 16, 32, 192, 1536]
