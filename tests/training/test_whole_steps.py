"""What saves memory or time changes no gradient: checkpointing of activations, compilation, several devices."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch

from tests import tiny
from tests.training import examples
from tests.training.processes import start
from tests.training.test_trainer import config, losses
from training import state
from training.models import Trainee
from training.objective import Loss, PackedModel
from training.objective import losses as of
from training.run import checkpointed
from training.views import Batch, collate, pack


def batches() -> list[Batch]:
    """Of several shapes, each with a batch view and two stream views."""
    rng, found = Random(1), []
    for seed, count in ((0, 2), (7, 3), (20, 1)):
        items = [examples.item(seed + place, tiny.TASKS["echo"]) for place in range(count)]
        found.append(collate([pack(item, [examples.trajectory(rng, item)] * 2, batch_view=True, offset=0) for item in items]))
    return found


def model(*, lora: bool = False) -> Any:
    plain = tiny.model("qwen2", attn="sdpa", vocab_size=len(tiny.checkpoint().tokenizer), layers=2)
    if lora:
        from tests.backbones.test_adapters import adapted  # noqa: PLC0415 (peft is slow to import)

        adapted(plain)
    return plain


def gradients(packed: PackedModel, many: Sequence[Batch]) -> list[dict[str, torch.Tensor]]:
    found = []
    for batch in many:
        packed.zero_grad()
        of(Loss(views=2), packed(batch).logits, batch.labels).total.backward()
        found.append({name: parameter.grad.clone() for name, parameter in packed.named_parameters() if parameter.grad is not None})
    return found


def equal(mine: list[dict[str, torch.Tensor]], its: list[dict[str, torch.Tensor]], tolerance: float) -> None:
    for left, right in zip(mine, its, strict=True):
        assert left.keys() == right.keys()
        for name, gradient in left.items():
            torch.testing.assert_close(gradient, right[name], atol=tolerance * float(right[name].abs().max()), rtol=0)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
@pytest.mark.parametrize("lora", [False, True])
def test_gradients_are_the_same_with_checkpointed_activations(lora: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    layer = type(model().model.layers[0].mlp)
    forward = layer.forward
    monkeypatch.setattr(layer, "forward", lambda self, x: counted.append(1) or forward(self, x))
    plain = gradients(PackedModel(model(lora=lora)).train(), batches())
    once = len(counted)
    saving = Trainee(model(lora=lora), None, None, tiny.checkpoint().config)
    again = gradients(PackedModel(checkpointed(saving).model).train(), batches())
    assert len(counted) == 3 * once  # each layer's forward ran a second time, in the backward pass
    assert (not lora) or all("lora_" in name for name in plain[0])
    equal(again, plain, 1e-6)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler
@pytest.mark.parametrize("saving", [False, True])
def test_gradients_are_the_same_when_compiled(saving: bool) -> None:
    plain = gradients(PackedModel(model()).train(), batches())
    compiled = model()
    if saving:
        checkpointed(Trainee(compiled, None, None, tiny.checkpoint().config))
    packed = PackedModel(compiled).train()
    packed.compile(dynamic=True)
    equal(gradients(packed, batches()), plain, 1e-4)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("sharded", [False, True])
def test_two_processes_make_the_steps_of_one(tmp_path: Path, sharded: bool) -> None:
    """Data-parallel, and in shards (FSDP2): accelerate shards on accelerators alone, so here it is told that a CPU is one."""
    pairs = tmp_path / "pairs.tsv"
    pairs.write_text("\n".join(f"one {place}\teins {place}" for place in range(30)), encoding="utf-8")
    runs = {name: config(tmp_path / name, pairs, run={"steps": 4, "accumulation": each}) for name, each in (("one", 4), ("two", 2))}
    shards = {"ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP"} if sharded else {}
    start(runs["one"], tmp_path / "one.json", count=1)
    start(runs["two"], tmp_path / "two.json", count=2, env=shards)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-5)
    kind = (tmp_path / "two" / "kind").read_text()
    assert kind == ("FSDP 2" if sharded else "MULTI_CPU 2")
    for file in ("weights.safetensors", "optimizer.safetensors"):
        mine, its = (state.read_tensors(tmp_path / name / "step-00000004" / file) for name in runs)
        assert mine.keys() == its.keys()
        for key, tensor in mine.items():
            torch.testing.assert_close(its[key], tensor, atol=1e-4, rtol=1e-3)
