"""Packed views: each copy equals a forward of its own, in outputs, losses and gradients; nothing leaks between copies or examples."""

from copy import deepcopy
from dataclasses import replace
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from backbones import visibility
from backbones.visibility import Trajectory
from tests import tiny
from tests.training import examples
from training.encoding import Ids, Item
from training.objective import Loss, PackedModel, losses
from training.views import collate, pack, without


@cache
def exact(family: str) -> Any:
    """In float64 throughout: transformers' own norms go through float32."""
    model = tiny.model(family, attn="sdpa", vocab_size=len(tiny.checkpoint().tokenizer)).double()
    for name, module in list(model.named_modules()):
        if name.endswith("norm"):
            plain = nn.RMSNorm(module.weight.shape, eps=module.variance_epsilon, dtype=torch.float64)
            plain.weight = module.weight
            model.set_submodule(name, plain)
    return model


def separate(of: Item, phi: Ids | None) -> Trajectory:
    """The example as one session's rows. None: everything is visible."""
    rows = np.full(len(of.target), len(of.source)) if phi is None else of.rows(phi)
    header = [of.prefix] * (len(of.header) - 1)
    return Trajectory(list(of.source), [*of.header, *of.target[:-1]], [*header, *rows.tolist()])


def forward(model: Any, of: Item, phi: Ids | None, offset: int) -> torch.Tensor:
    """[P, V] by a forward of its own."""
    own = separate(of, phi)
    out = model(
        input_ids=torch.tensor([[*own.source, *own.target]]),
        position_ids=visibility.positions(own, offset),
        attention_mask=visibility.mask(own, torch.float64),
        use_cache=False,
    )
    logits: torch.Tensor = out.logits[0, -len(of.target) :]
    return logits


def drawn(seed: int, count: int, views: int) -> tuple[list[Item], list[list[Ids]]]:
    """Examples of both gates with random trajectories that a server can take."""
    items = [examples.item(seed + i, tiny.TASKS["words" if i % 2 else "echo"]) for i in range(count)]
    rng = Random(seed)
    return items, [[of.served(examples.trajectory(rng, of)) for _ in range(views)] for of in items]


@pytest.mark.parametrize("offset", [0, 23])
@pytest.mark.parametrize("family", tiny.FAMILIES)
@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_losses_and_gradients_equal_those_of_separate_forwards(family: str, offset: int, seed: int) -> None:
    loss = Loss.model_validate({"views": 2, "lambda": 0.3, "top_k": 20})
    items, phis = drawn(seed, 3, views=2)
    ours, theirs = deepcopy(exact(family)), deepcopy(exact(family))

    batch = collate([pack(of, drawn, batch_view=True, offset=offset) for of, drawn in zip(items, phis, strict=True)])
    packed = losses(loss, PackedModel(ours)(batch).logits, batch.labels)
    packed.total.backward()

    total = torch.zeros((), dtype=torch.float64)
    for of, trajectories in zip(items, phis, strict=True):
        alone = torch.stack([forward(theirs, of, phi, offset) for phi in (None, *trajectories)])
        total = total + losses(loss, alone, torch.from_numpy(of.target)).total
    total.backward()

    assert float(packed.total.detach()) == pytest.approx(float(total.detach()), abs=1e-9)
    for (name, mine), its in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, atol=1e-9, rtol=0, msg=lambda text, name=name: f"{name}: {text}")


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**20))
def test_every_copy_has_the_mask_and_the_positions_of_the_offline_truth(seed: int) -> None:
    items, phis = drawn(seed, 3, views=2)
    packed = [pack(of, drawn, batch_view=True, offset=7) for of, drawn in zip(items, phis, strict=True)]
    batch = collate(packed)
    mask = batch.mask()[:, 0]
    for place, (of, trajectories) in enumerate(zip(items, phis, strict=True)):
        size, shared = len(of.source), len(of.header) - 1
        for copy, phi in enumerate((None, *trajectories)):
            first = size + shared + copy * len(of.target)
            rows = torch.tensor([*range(size + shared), *range(first, first + len(of.target))])
            own = separate(of, phi)
            truth = visibility.mask(own, torch.float32)[0, 0] == 0
            assert torch.equal(mask[place][rows][:, rows], truth)
            assert torch.equal(batch.positions[place][rows], visibility.positions(own, 7)[0])
            assert batch.tokens[place][rows].tolist() == [*own.source, *own.target]
            # Nothing outside of the copy is seen by it, not even padding.
            assert int(mask[place][rows].sum()) == int(truth.sum())
    assert mask.any(dim=-1).all()


def test_the_table_says_which_rows_make_the_same_prediction() -> None:
    items, phis = drawn(5, 3, views=2)
    batch = collate([pack(of, drawn, batch_view=True, offset=0) for of, drawn in zip(items, phis, strict=True)])
    assert batch.labels.tolist() == [token for of in items for token in of.target]
    assert batch.rows.shape == (3, len(batch.labels))
    read = batch.tokens.flatten()[batch.rows]
    assert torch.equal(read[0], read[1])
    assert torch.equal(read[0], read[2])
    assert read[0].tolist() == [token for of in items for token in (of.header[-1], *of.target[:-1])]
    assert len(set(batch.rows.flatten().tolist())) == batch.rows.numel()


def test_lm_head_runs_on_predicted_rows_only() -> None:
    model = tiny.model("qwen2", attn="sdpa", vocab_size=len(tiny.checkpoint().tokenizer))
    seen: list[int] = []
    model.lm_head.register_forward_hook(lambda _, args, __: seen.append(args[0].shape[0]))
    items, phis = drawn(1, 2, views=1)
    batch = collate([pack(of, drawn, batch_view=True, offset=0) for of, drawn in zip(items, phis, strict=True)])
    assert PackedModel(model)(batch).logits.shape[:2] == batch.rows.shape
    assert seen == [2 * len(batch.labels)]


def test_a_plain_stage_packs_no_stream_view() -> None:
    of = examples.item(3, tiny.TASKS["echo"])
    assert len(pack(of, [], batch_view=True, offset=0)) == len(of.source) + len(of.header) - 1 + len(of.target)


@settings(max_examples=30, deadline=None)
@given(data=st.data(), seed=st.integers(0, 1000))
def test_what_is_left_out_of_a_recording_leaves_no_trace(data: st.DataObject, seed: int) -> None:
    """The batch is that of items which never had the tokens; one that is read stays as it is."""
    items, phis = drawn(seed, 3, 2)
    heard = [replace(of, mel=np.zeros((4, 80), np.float32)) for of in items[:2]]
    kept = [np.array(data.draw(st.lists(st.booleans(), min_size=len(of.units), max_size=len(of.units)))) for of in heard]
    shorter = []
    for of, which in zip(heard, kept, strict=True):
        stays = np.ones(len(of.source), bool)
        stays[of.prefix : of.prefix + len(of.units)] = which
        shorter.append(replace(of, source=of.source[stays], units=of.units[which]))
    first = [of.units[0] + 1 if len(of.units) else of.count + 1 for of in shorter]
    later = [[np.maximum(phi, unit) for phi in of] for of, unit in zip(phis, [*first, 0], strict=True)]
    before, after = (
        collate([pack(of, phi, batch_view=True, offset=7) for of, phi in zip([*some, items[2]], drawn, strict=True)])
        for some, drawn in ((heard, phis), (shorter, later))
    )
    found = without(before, torch.from_numpy(np.concatenate(kept)))
    assert found.units == before.units
    for name in ("tokens", "positions", "limit", "copy", "step", "rows", "labels", "heard"):
        assert torch.equal(getattr(found, name), getattr(after, name)), name
