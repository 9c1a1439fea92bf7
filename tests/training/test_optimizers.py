"""Each trained parameter is moved by one optimizer; Muon gets the matrices in between; the rate rises and falls."""

from typing import Literal

import pytest
from torch import nn

from tests import tiny
from training.config import Optimizer
from training.objective import PackedModel
from training.optimizers import learning_rate, optimizers


def model(*, tied: bool) -> nn.Module:
    packed = PackedModel(tiny.model("qwen2", tied=tied))
    packed.model.model.layers[0].self_attn.q_proj.weight.requires_grad_(requires_grad=False)
    return packed


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_every_trained_parameter_has_one_optimizer(name: Literal["adamw", "muon"], *, tied: bool) -> None:
    packed = model(tied=tied)
    moved = [id(p) for optimizer in optimizers(packed, Optimizer(name=name)) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(moved) == sorted(id(p) for p in packed.parameters() if p.requires_grad)


@pytest.mark.parametrize("tied", [True, False])
def test_muon_moves_matrices_and_neither_embeddings_nor_logits(*, tied: bool) -> None:
    packed = model(tied=tied)
    muon, adamw = optimizers(packed, Optimizer(name="muon", lr=0.5))
    names = {id(p): name.removeprefix("model.model.") for name, p in packed.named_parameters()}
    moved = {names[id(p)] for group in muon.param_groups for p in group["params"]}
    assert {name.split(".", 2)[2] for name in moved if name.startswith("layers.1.")} == {
        *(f"self_attn.{part}_proj.weight" for part in "qkvo"),
        *(f"mlp.{part}_proj.weight" for part in ("gate", "up", "down")),
    }
    assert all(name.startswith("layers.") for name in moved)
    assert adamw.param_groups[1]["weight_decay"] == 0
    assert {group["lr"] for group in (*muon.param_groups, *adamw.param_groups)} == {0.5}


def test_the_rate_rises_then_falls_along_a_cosine() -> None:
    settings = Optimizer(lr=1.0, warmup=0.2, floor=0.1)
    assert learning_rate(settings, 0.1) == pytest.approx(0.5)
    assert learning_rate(settings, 0.2) == pytest.approx(1.0)
    assert learning_rate(settings, 0.6) == pytest.approx(0.55)
    assert learning_rate(settings, 1.0) == pytest.approx(0.1)
    assert learning_rate(Optimizer(lr=1.0, warmup=0), 0.5) == pytest.approx(0.5)
