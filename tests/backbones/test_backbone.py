"""The design's proof obligations: whatever the chunking, interleaving, rejection and company, streaming equals one offline forward."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones import attention, visibility
from backbones.backbone import Backbone
from backbones.layout import SourceRun, TargetRow, TargetRun, Units
from backbones.slots import KVSlots
from backbones.visibility import Trajectory
from errors import CheckpointError
from tests import tiny

TOLERANCE = 1e-4
V = 64


@contextmanager
def padded(wanted: bool) -> Iterator[None]:
    """The path for GPUs, run on the CPU."""
    ours = attention.attend_per_slot
    attention.attend_per_slot = attention.attend_padded if wanted else ours
    try:
        yield
    finally:
        attention.attend_per_slot = ours


class Play:
    """One session at the level of rows: feeds random runs, probes at random, commits half of the probes."""

    def __init__(self, backbone: Backbone, slots: KVSlots, rng: Random, vocab: int = V) -> None:
        self.backbone, self.rng, self.vocab = backbone, rng, vocab
        self.prompt = rng.randint(1, 6)
        self.source = [rng.randrange(vocab) for _ in range(self.prompt + rng.randint(1, 14))]
        self.target = [rng.randrange(vocab) for _ in range(rng.randint(1, 4))]
        self.visible = [self.prompt] * (len(self.target) - 1)
        self.header_done = len(self.target) == 1
        self.region = slots.acquire(target_capacity=24)
        self.fed = 0
        self.probes: list[tuple[Trajectory, torch.Tensor, torch.Tensor | None]] = []

    @property
    def over(self) -> bool:
        return (self.fed == len(self.source) and len(self.target) > 5) or len(self.target) == 20

    def turn(self) -> tuple[list[SourceRun | TargetRun], list[TargetRow]]:
        count = self.rng.randint(0, min(5, len(self.source) - self.fed))
        runs: list[SourceRun | TargetRun] = [SourceRun(self.region, self.fed, self.source[self.fed : self.fed + count])] if count else []
        self.fed += count
        rows: list[TargetRow] = []
        if self.fed < self.prompt:
            return runs, rows
        if not self.header_done:
            self.header_done = True
            header = self.target[:-1]
            if self.rng.random() < 0.5:
                cut = self.rng.randint(0, len(header))
                parts = ((0, header[:cut]), (cut, header[cut:]))
                runs += [TargetRun(self.region, start, tokens, visible=self.prompt) for start, tokens in parts if tokens]
            else:
                rows = [TargetRow(self.region, i, token, visible=self.prompt) for i, token in enumerate(header)]
        if self.rng.random() < 0.7:
            stream = torch.arange(self.fed - self.prompt)
            units = Units(self.prompt, stream // 2, (len(stream) + 1) // 2)
            rows.append(TargetRow(self.region, len(self.target) - 1, self.target[-1], visible=self.fed, probe=True, units=units))
        return runs, rows

    def take(self, logits: torch.Tensor, per_unit: torch.Tensor | None) -> None:
        trajectory = Trajectory(self.source[: self.fed], list(self.target), [*self.visible, self.fed])
        self.probes.append((trajectory, logits.clone(), per_unit))
        if self.rng.random() < 0.5:
            self.visible.append(self.fed)
            self.target.append(self.rng.randrange(self.vocab))


def play(backbone: Backbone, rng: Random, sessions: int, vocab: int = V) -> list[Play]:
    """Several sessions in the same ticks, in slots full of NaN: a row that is read before it was written spoils everything."""
    slots = backbone.slots(count=sessions, length=48)
    for buffer in (*slots.key, *slots.value):
        buffer.fill_(float("nan"))
    plays = [Play(backbone, slots, rng, vocab) for _ in range(sessions)]
    while not all(p.over for p in plays):
        turns = [(p, *p.turn()) for p in plays if not p.over and rng.random() < 0.8]
        rows = [row for _, _, rows in turns for row in rows]
        if not rows and not any(runs for _, runs, _ in turns):
            continue
        out = backbone.forward(slots, [run for _, runs, _ in turns for run in runs], rows)
        probing = [p for p, _, rows in turns if any(row.probe for row in rows)]
        for i, p in enumerate(probing):
            p.take(out.logits[i], out.attention.get(i))
    return plays


@pytest.mark.parametrize("gpu_path", [False, True], ids=["per_slot", "padded"])
@pytest.mark.parametrize("offset", [0, 37])
@pytest.mark.parametrize("family", tiny.FAMILIES)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_streaming_equals_one_offline_forward(family: str, offset: int, gpu_path: bool, seed: int) -> None:
    """Every probe, rejected or committed, of sessions that share their ticks."""
    offline = tiny.model(family, attn="eager")
    with padded(gpu_path):
        plays = play(Backbone(tiny.model(family), offset=offset), Random(seed), sessions=3)
    for p in plays:
        assert p.probes
        for trajectory, logits, _ in p.probes:
            truth = visibility.target_logits(offline, trajectory, offset)[-1]
            torch.testing.assert_close(logits, truth, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("gpu_path", [False, True], ids=["per_slot", "padded"])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_committed_rows_equal_one_forward_of_the_finished_session(family: str, gpu_path: bool) -> None:
    """The rows left behind are as good as new: one forward of the whole trajectory gives every committed prediction."""
    offline = tiny.model(family, attn="sdpa")
    with padded(gpu_path):
        plays = play(Backbone(tiny.model(family)), Random(family), sessions=5)
    for p in plays:
        whole = visibility.target_logits(offline, Trajectory(p.source[: p.fed], p.target[: len(p.visible)], p.visible), 0)
        # Of several probes of one row the last was committed.
        committed = {len(t.target) - 1: logits for t, logits, _ in p.probes if len(t.target) <= len(p.visible)}
        for index, logits in committed.items():
            torch.testing.assert_close(logits, whole[index], atol=TOLERANCE, rtol=0)


def test_a_rejected_probe_left_in_the_slot_would_be_seen() -> None:
    """The proof can fail: one row too many, and the logits are off by far more than the tolerance."""
    backbone = Backbone(tiny.model("qwen2"))
    slots = backbone.slots(count=1, length=32)
    region = slots.acquire(8)
    backbone.forward(slots, [SourceRun(region, 0, [1, 2, 3])], [TargetRow(region, 0, 5, visible=3, probe=True)])
    again = backbone.forward(slots, [SourceRun(region, 3, [4])], [TargetRow(region, 0, 5, visible=4, probe=True)]).logits[0]
    kept = backbone.forward(slots, [], [TargetRow(region, 1, 5, visible=4, probe=True)]).logits[0]
    truth = visibility.target_logits(tiny.model("qwen2", attn="eager"), Trajectory([1, 2, 3, 4], [5], [4]), 0)[-1]
    torch.testing.assert_close(again, truth, atol=TOLERANCE, rtol=0)
    assert (kept - truth).abs().max() > 0.1


@pytest.mark.parametrize("pairs", [None, [(0, 0), (0, 3), (2, 1), (2, 2)]])
@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_attention_per_unit_equals_the_eager_models(family: str, pairs: list[tuple[int, int]] | None) -> None:
    """Prompt and target left out, tokens summed to units, averaged over the selected heads."""
    offline = tiny.model(family, attn="eager")
    plays = play(Backbone(tiny.model(family), pairs=pairs), Random(1), sessions=3)
    checked = 0
    for p in plays:
        for trajectory, _, per_unit in p.probes:
            stream = len(trajectory.source) - p.prompt
            if stream == 0:
                assert per_unit is None
                continue
            expected = _eager_attention(offline, trajectory, pairs or [(1, head) for head in range(4)])[p.prompt :]
            by_unit = torch.zeros((stream + 1) // 2).index_add_(0, torch.arange(stream) // 2, expected)
            torch.testing.assert_close(per_unit, by_unit, atol=1e-5, rtol=0)
            checked += 1
    assert checked > 10


@pytest.mark.parametrize("pairs", [[(1, 2)], [(2, 3), (0, 0), (0, 3), (2, 1), (2, 2)]])
def test_attention_of_each_pair_is_what_is_averaged_otherwise(pairs: list[tuple[int, int]]) -> None:
    """In ascending order of the pairs, whatever order they were given in."""
    backbone = Backbone(tiny.model("qwen2"), pairs=pairs)
    slots = backbone.slots(count=1, length=32)
    region = slots.acquire(8)
    units = Units(1, torch.tensor([0, 0, 1, 2, 2]), 3)
    row = TargetRow(region, 0, 5, visible=6, probe=True, units=units)
    mean = backbone.forward(slots, [SourceRun(region, 0, [1, 2, 3, 4, 5, 6])], [row]).attention[0]
    each = backbone.forward(slots, [], [row], each_pair=True).attention[0]
    assert each.shape == (3, len(pairs))
    torch.testing.assert_close(each.mean(dim=1), mean)
    for column, pair in enumerate(sorted(pairs)):
        alone = Backbone(tiny.model("qwen2"), pairs=[pair])
        torch.testing.assert_close(alone.forward(slots, [], [row]).attention[0], each[:, column])


@torch.inference_mode()
def _eager_attention(model: torch.nn.Module, trajectory: Trajectory, pairs: list[tuple[int, int]]) -> torch.Tensor:
    """[S] of the last target row over the source rows."""
    tokens = torch.tensor([[*trajectory.source, *trajectory.target]])
    maps = model(
        input_ids=tokens,
        position_ids=visibility.positions(trajectory, 0),
        attention_mask=visibility.mask(trajectory, torch.float32),
        output_attentions=True,
    ).attentions
    rows = torch.stack([maps[layer][0, head, -1, : len(trajectory.source)] for layer, head in pairs])
    return rows.mean(dim=0)


def test_header_rows_before_the_last_see_the_prompt_only() -> None:
    """Streaming commits them with the prompt, so offline must show them no more; the last header row sees phi(1)."""
    backbone = Backbone(tiny.model("llama"))
    slots = backbone.slots(count=1, length=32)
    region = slots.acquire(8)
    header = [TargetRow(region, 0, 9, visible=2), TargetRow(region, 1, 10, visible=2)]
    out = backbone.forward(slots, [SourceRun(region, 0, [1, 2, 3, 4])], [*header, TargetRow(region, 2, 11, visible=4, probe=True)])
    offline = tiny.model("llama", attn="eager")
    truth = visibility.target_logits(offline, Trajectory([1, 2, 3, 4], [9, 10, 11], [2, 2, 4]), 0)[-1]
    other = visibility.target_logits(offline, Trajectory([1, 2, 3, 4], [9, 10, 11], [4, 4, 4]), 0)[-1]
    torch.testing.assert_close(out.logits[0], truth, atol=TOLERANCE, rtol=0)
    assert (out.logits[0] - other).abs().max() > 100 * TOLERANCE


def test_company_changes_a_sessions_logits_by_rounding_only() -> None:
    def logits(sessions: int) -> torch.Tensor:
        backbone = Backbone(tiny.model("qwen2"))
        slots = backbone.slots(count=sessions, length=32)
        regions = [slots.acquire(8) for _ in range(sessions)]
        runs = [SourceRun(region, 0, [(7 * i + k) % V for k in range(5)]) for i, region in enumerate(regions)]
        probes = [TargetRow(region, 0, 3 + i, visible=5, probe=True) for i, region in enumerate(regions)]
        return backbone.forward(slots, runs, probes).logits[0]

    # A matrix product of more rows may add in another order.
    torch.testing.assert_close(logits(1), logits(8), atol=1e-5, rtol=0)


def test_lm_head_runs_on_probe_rows_only() -> None:
    model = tiny.model("qwen2")
    seen: list[int] = []
    model.lm_head.register_forward_hook(lambda _, args, __: seen.append(args[0].shape[0]))
    backbone = Backbone(model)
    slots = backbone.slots(count=1, length=32)
    region = slots.acquire(8)
    backbone.forward(slots, [SourceRun(region, 0, [1, 2, 3])], [TargetRow(region, 0, 5, visible=3, probe=True)])
    backbone.forward(slots, [SourceRun(region, 3, [4, 5])], [])
    assert seen == [1, 0]


def test_models_whose_cache_cannot_be_split_are_refused() -> None:
    with pytest.raises(CheckpointError, match="attention 'proactive_slots'"):
        Backbone(tiny.model("qwen2", attn="sdpa"))
    dynamic = tiny.model("llama")
    dynamic.config.rope_parameters = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}
    with pytest.raises(CheckpointError, match="dynamic"):
        Backbone(dynamic)
    with pytest.raises(CheckpointError, match=r"\(9, 0\)"):
        Backbone(tiny.model("qwen2"), pairs=[(9, 0)])
    sliding = tiny.model("qwen3")
    sliding.config.layer_types = ["full_attention", "sliding_attention", "full_attention"]
    with pytest.raises(CheckpointError, match="sliding_attention"):
        Backbone(sliding)
