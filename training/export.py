"""Writes what is served: Hugging Face files in bfloat16 safetensors and proactivellm.json, whole or as adapters, and an audio encoder.

Knows no run.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from backbones.adapters import WEIGHTS_FILE
from backbones.audio_weights import build, save_encoder
from backbones.checkpoint import CONFIG_FILE
from training.models import Trainee

State = Mapping[str, torch.Tensor]
_DTYPE = torch.bfloat16


def export(trainee: Trainee, state: State, folder: Path, *, merge: bool, shard_size: str) -> None:
    """A folder that backbones.loading.load takes. `state`: the model's, as its own state_dict names it.

    Adapters that are not merged are written as peft writes them, to be served on the base that proactivellm.json names.
    """
    folder.mkdir()
    if trainee.adapters is None:
        _write_model(trainee.model, state, folder, shard_size)
    elif merge:
        _write_model(trainee.model, merged(trainee, state), folder, shard_size)
    else:
        _write_adapters(trainee, state, folder)
    trainee.tokenizer.save_pretrained(folder)
    text = trainee.config.model_dump_json(indent=1, exclude_none=True, exclude_defaults=True)
    (folder / CONFIG_FILE).write_text(text + "\n", encoding="utf-8")


def export_encoder(trainee: Trainee, state: State, folder: Path, *, dtype: str, shard_size: str) -> None:
    """Beside what `export` wrote. `state`: the encoder's; dtype: a name of torch's."""
    assert trainee.encoder is not None
    halves = {name: tensor.detach().to("cpu", getattr(torch, dtype)) for name, tensor in state.items()}
    save_encoder(build(trainee.encoder.config, halves), folder, shard_size=shard_size)


def merged(trainee: Trainee, state: State) -> dict[str, torch.Tensor]:
    """The state of a plain model with the adapters added in, W + scale B A, float32 (LoRA). The trained model is left alone."""
    found: dict[str, torch.Tensor] = {}
    for name, tensor in state.items():
        if "lora_" in name:
            continue
        owner, layer, rest = name.partition(".base_layer.")
        if layer and rest == "weight":
            # Not the layer's own delta: on several devices its parameters are parts, and `state` alone is whole.
            down, up = (state[f"{owner}.lora_{side}.default.weight"].float() for side in "AB")
            found[f"{owner}.{rest}"] = tensor.float() + trainee.model.get_submodule(owner).scaling["default"] * (up @ down)
        else:
            found[name.replace(".base_layer.", ".")] = tensor
    return found


def _write_model(model: Any, state: State, folder: Path, shard_size: str) -> None:
    config = type(model.config).from_dict(model.config.to_dict())
    config.dtype = _DTYPE
    with torch.device("meta"):
        plain = type(model)._from_config(config)
    if config.tie_word_embeddings:
        state = {name: tensor for name, tensor in state.items() if name != "lm_head.weight"}
    halves = {name: tensor.detach().to("cpu", _DTYPE) for name, tensor in state.items()}
    plain.generation_config = model.generation_config
    plain.save_pretrained(folder, state_dict=halves, max_shard_size=shard_size)


def _write_adapters(trainee: Trainee, state: State, folder: Path) -> None:
    from peft import get_peft_model_state_dict  # noqa: PLC0415 (seconds to import)

    # peft looks for its tensors under the names of its own wrapper.
    wrapped = {f"base_model.model.{name}": tensor for name, tensor in state.items()}
    adapters = get_peft_model_state_dict(trainee.adapters, state_dict=wrapped, save_embedding_layers=False)
    halves = {name: tensor.detach().to("cpu", _DTYPE).contiguous() for name, tensor in adapters.items()}
    save_file(halves, folder / WEIGHTS_FILE, metadata={"format": "pt"})
    config = trainee.adapters.peft_config["default"]
    # Where the base was found on this machine tells another one nothing.
    replace(config, base_model_name_or_path=trainee.config.backbone).save_pretrained(folder)
