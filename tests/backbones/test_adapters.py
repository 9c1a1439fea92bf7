"""Adapters merged, beside the weights, and in peft's own forward are one model; what is no plain LoRA of the base is refused."""

import json
import warnings
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from backbones import adapters, loading, visibility
from backbones.adapters import AdaptedLinear
from backbones.checkpoint import copy_settings
from backbones.loading import Checkpoint
from backbones.packed_linear import PackedLinear
from engine.actions import Write
from engine.engine import Engine, EngineConfig
from engine.request import Request
from errors import CheckpointError
from tests import tiny
from tests.backbones.test_backbone import play
from tests.backbones.test_loading import save

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
LAYER = "base_model.model.model.layers.0.self_attn.q_proj"
TEXT = "the dog sat down and where it sat the dog wasn't seen again"


def adapted(model: Any, **changes: Any) -> Any:
    """peft's model with random adapters, none of them zero."""
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 (slow to import)

    torch.manual_seed(5)
    wanted = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": list(TARGETS), "task_type": "CAUSAL_LM", **changes})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # peft asks transformers by a name that is to go
        wrapped = get_peft_model(model, wanted)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return wrapped.eval()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return save(tmp_path / "base")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "adapter")


def write(folder: Path, family: str = "qwen2", **changes: Any) -> Path:
    """An adapter for the model that `save` writes, as peft writes it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        adapted(plain(family), **changes).save_pretrained(folder, save_embedding_layers=False)
    return folder


def plain(family: str) -> Any:
    return tiny.model(family, attn="eager", vocab_size=vocabulary())


@cache
def vocabulary() -> int:
    return len(tiny.checkpoint().tokenizer) + 28


def text(checkpoint: Checkpoint) -> str:
    engine = Engine(checkpoint, EngineConfig(kv_memory=1 << 20, slot_length=128, tick_tokens=64))
    events = tiny.run(engine, Request("translate", head="wait_k", threshold=3, max_output_tokens=24), tiny.words(TEXT))
    return "".join(event.text for event in events if isinstance(event, Write))


@pytest.mark.parametrize("changes", [{}, {"use_rslora": True, "r": 3}, {"target_modules": ["q_proj", "lm_head"]}])
@pytest.mark.parametrize("family", ["qwen2", "llama"])
def test_merged_and_beside_are_pefts_own_forward(tmp_path: Path, family: str, changes: dict[str, Any]) -> None:
    base, folder = save(tmp_path / "base", family), write(tmp_path / "adapter", family, **changes)
    theirs = adapted(plain(family), **changes).base_model.model
    texts = set()
    for merge in (True, False):
        found = loading.load(str(base), dtype="float32", adapter=str(folder), merge_adapter=merge)
        assert any(isinstance(module, AdaptedLinear) for module in found.backbone.model.modules()) != merge
        texts.add(text(found))
        compared = 0
        for p in play(found.backbone, Random(3), sessions=2):
            for trajectory, logits, _ in p.probes:
                truth = visibility.target_logits(theirs, trajectory, 0)[-1]
                torch.testing.assert_close(logits, truth, atol=1e-4, rtol=1e-5)
                compared += 1
        assert compared > 5
    assert len(texts) == 1
    assert texts != {text(loading.load(str(base), dtype="float32"))}


def test_a_tied_embedding_stays_as_it_is(tmp_path: Path) -> None:
    model = tiny.model("qwen2", tied=True)
    before = model.model.embed_tokens.weight.clone()
    change = adapters.LowRank(torch.ones(1, 32), torch.ones(64, 1), 2.0)
    adapters.apply(model, {"lm_head": change}, merge=True)
    assert torch.equal(model.model.embed_tokens.weight, before)
    torch.testing.assert_close(model.lm_head.weight, before + 2.0)


def test_the_sum_is_rounded_once() -> None:
    """Merged in float32: summing in bfloat16 would lose what is small beside the weights term by term."""
    layer = torch.nn.Linear(8, 8, bias=False).bfloat16()
    whole = layer.weight.detach().float()
    change = adapters.LowRank(torch.randn(4, 8), torch.randn(8, 4), 0.37)
    model = torch.nn.ModuleDict({"layer": layer})
    adapters.apply(model, {"layer": change}, merge=True)
    assert torch.equal(layer.weight, (whole + 0.37 * (change.up @ change.down)).bfloat16())


@pytest.mark.skipif(not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="no bfloat16 in this processor's oneDNN")
def test_adapters_beside_bfloat16_weights_are_packed_too(base: Path, folder: Path) -> None:
    def logits(dtype: loading.Dtype, merge: bool) -> torch.Tensor:
        found = loading.load(str(base), dtype=dtype, adapter=str(folder), merge_adapter=merge)
        layer = found.backbone.model.model.layers[0].mlp.up_proj
        if dtype == "bfloat16":
            parts = [layer] if merge else [layer.plain, layer.down, layer.up]
            assert all(isinstance(part, PackedLinear) for part in parts)
        first = play(found.backbone, Random(3), sessions=1)[0].probes[0]
        return first[1].float()

    exact = logits("float32", True)
    for merge in (True, False):
        torch.testing.assert_close(logits("bfloat16", merge), exact, atol=0.05 * float(exact.abs().max()), rtol=0.1)


def test_a_folder_with_an_adapter_and_its_backbone_is_a_checkpoint(tmp_path: Path, base: Path, folder: Path) -> None:
    given = loading.load(str(base), dtype="float32", adapter=str(folder))
    (folder / "proactivellm.json").write_text(json.dumps({"name": "mine", "backbone": "../base", "offset": 5}))
    (folder / "tiers.json").write_text(json.dumps({"translate": {"entropy": {"low": {"threshold": 0.3, "calibrated": False}}}}))
    found = loading.load(str(folder), dtype="float32")
    assert (found.name, found.backbone.offset, found.tiers["translate"]["entropy"]["low"].threshold) == ("mine", 5, 0.3)
    assert (found.weights, found.adapter) == (str(base), str(folder))
    weights = [checkpoint.backbone.model.state_dict() for checkpoint in (given, found)]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    # Its settings are used with another base too, and kept apart from it they still lead to it.
    assert loading.load(str(base), dtype="float32", adapter=str(folder)).backbone.offset == 5
    copy_settings(str(folder), tmp_path / "apart")
    apart = loading.find(str(tmp_path / "apart"))
    assert (apart.base, apart.adapter, apart.config.offset, apart.tiers) == (str(base), folder, 5, found.tiers)


def test_an_adapter_without_settings_has_those_of_its_base_and_no_tiers(base: Path, folder: Path) -> None:
    (base / "proactivellm.json").write_text(json.dumps({"name": "mine", "offset": 7}))
    (base / "tiers.json").write_text(json.dumps({"translate": {"entropy": {"low": {"threshold": 0.3, "calibrated": True}}}}))
    found = loading.find(str(base), str(folder))
    assert (found.config.offset, found.tiers) == (7, {})
    copy_settings(str(base), folder)  # which calibration does: the folder is then a checkpoint by itself
    alone = loading.find(str(folder))
    assert (alone.base, alone.adapter, alone.config.offset, alone.tiers) == (str(base), folder, 7, {})


def rewrite(folder: Path, **changes: Any) -> None:
    path = folder / adapters.CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def retensor(folder: Path, tensors: dict[str, torch.Tensor | None]) -> None:
    path = folder / adapters.WEIGHTS_FILE
    known = load_file(path) | tensors
    save_file({name: tensor for name, tensor in known.items() if tensor is not None}, path)


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda f: rewrite(f, r=8), r"expected rank 8 of model\.layers.*, as adapter_config.json in .* says; got lora_A 4 x"),
        (lambda f: retensor(f, {f"{LAYER}.lora_A.weight": torch.ones(4, 31)}), r"q_proj of shape 32 x 31; got 32 x 32"),
        (lambda f: retensor(f, {f"{LAYER}.lora_A.weight": torch.ones(4)}), "got lora_A 4 and lora_B 32 x 4"),
        (lambda f: retensor(f, {f"{LAYER}.lora_A.weight": None}), r"pairs of lora_A and lora_B .*no pair: .*layers\.0\.self_attn\.q_proj"),
        (lambda f: retensor(f, {f"{LAYER}.lora_magnitude_vector": torch.ones(32)}), "no pair: .*magnitude"),
        (lambda f: rewrite(f, use_dora=True), "use_dora: Input should be False; only plain LoRA is served"),
        (lambda f: rewrite(f, peft_type="LOHA"), "peft_type: Input should be 'LORA'"),
        (lambda f: rewrite(f, init_lora_weights="pissa"), "init_lora_weights"),
        (lambda f: rewrite(f, alpha_pattern={"q_proj": 3}), "alpha_pattern"),
        (lambda f: rewrite(f, lora_alpha=float("inf")), "lora_alpha: Input should be a finite number"),
        (lambda f: rewrite(f, lora_alpha=float("nan")), "lora_alpha: Input should be"),
        (lambda f: (f / adapters.CONFIG_FILE).write_text("{"), "adapter_config.json: file: Invalid JSON"),
        (lambda f: (f / adapters.CONFIG_FILE).unlink(), "expected the settings of an adapter at .*adapter_config.json: No such file"),
        (lambda f: (f / adapters.WEIGHTS_FILE).write_bytes(b"no tensors"), "expected tensors of an adapter at"),
        (lambda f: (f / adapters.WEIGHTS_FILE).unlink(), "expected adapter_model.safetensors in .*; got none"),
        (
            lambda f: (f / adapters.WEIGHTS_FILE).rename(f / adapters.PICKLE_FILE),
            "expected adapter_model.safetensors in .*; got adapter_model.bin, a pickle, which is never read",
        ),
    ],
)
def test_what_is_no_plain_lora_of_this_base_is_refused_in_one_line(base: Path, folder: Path, spoil: Any, why: str) -> None:
    spoil(folder)
    with pytest.raises(CheckpointError, match=why) as refused:
        loading.load(str(base), dtype="float32", adapter=str(folder))
    assert "\n" not in refused.value.message


def test_the_adapter_of_another_base_is_refused_and_changes_nothing(tmp_path: Path, folder: Path) -> None:
    other = tiny.model("qwen2", vocab_size=vocabulary(), layers=2)
    before = {name: tensor.clone() for name, tensor in other.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"the base of the adapter X to have a linear layer model\.layers\.2\..*; got none"):
        adapters.apply(other, adapters.read(folder), merge=True, where="the adapter X")
    assert all(torch.equal(tensor, before[name]) for name, tensor in other.state_dict().items())


def test_an_adapter_has_one_base_and_a_base_no_adapter(tmp_path: Path, base: Path, folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"--model BASE --adapter .*adapter, or backbone in its proactivellm\.json"):
        loading.load(str(folder))
    with pytest.raises(CheckpointError, match=r"in the folder '.*base'; found neither"):
        loading.load(str(base), adapter=str(base))
    (folder / "proactivellm.json").write_text(json.dumps({"backbone": "../base"}))
    second = write(tmp_path / "second")
    with pytest.raises(CheckpointError, match=r"a base without an adapter for .*second; got one with the adapter .*adapter"):
        loading.load(str(folder), adapter=str(second))
    for place in ("../adapter", "."):
        (second / "proactivellm.json").write_text(json.dumps({"backbone": place}))
        with pytest.raises(CheckpointError, match=r"a base without an adapter for .*second"):
            loading.load(str(second))
