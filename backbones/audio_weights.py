"""Audio encoders from and to disk: a converted folder, a Hugging Face Whisper checkpoint, or a folder with CTranslate2's model.bin.

Knows files and names of weights; they come from safetensors or model.bin only, never from a pickle. Knows nothing of streams.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, WhisperModel
from transformers.utils import logging as transformers_logging

from backbones import audio_ctranslate2
from backbones.audio_config import CONFIG_FILE, EncoderConfig, Projector, read_config
from backbones.audio_encoder import AudioEncoder
from errors import CheckpointError

WEIGHTS_FILE = "audio_encoder.safetensors"
_PARTS = "audio_encoder*.safetensors"  # or `audio_encoder-00001-of-00002.safetensors` and so on
# Ours, and Hugging Face's in Whisper and Qwen2-Audio.
_NAMES = {
    "attention_norm": "self_attn_layer_norm",
    "out": "self_attn.out_proj",
    "ffn_norm": "final_layer_norm",
    "fc1": "fc1",
    "fc2": "fc2",
}


def load_encoder(reference: str, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> AudioEncoder:
    """A converted folder, a Whisper folder or hub name, or a folder with model.bin. Frozen, for inference.

    Raises CheckpointError saying what was looked for where.
    """
    folder = Path(reference)
    if (folder / CONFIG_FILE).is_file():
        encoder = _read(folder)
    elif (folder / audio_ctranslate2.FILE).is_file():
        encoder = build(*audio_ctranslate2.encoder(folder / audio_ctranslate2.FILE))
    else:
        encoder = _from_whisper(reference)
    return encoder.to(device, dtype).eval().requires_grad_(False)


def save_encoder(encoder: AudioEncoder, folder: Path, *, shard_size: str = "5GB") -> None:
    """Writes the shape and the weights, these in the encoder's dtype and in files no larger than that; other files of the folder stay."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: tensor.contiguous() for name, tensor in encoder.state_dict().items()}
    pattern = WEIGHTS_FILE.replace(".", "{suffix}.")
    save_torch_state_dict(weights, folder, filename_pattern=pattern, max_shard_size=shard_size)
    (folder / CONFIG_FILE).write_text(encoder.config.model_dump_json(indent=2, exclude_none=True) + "\n", encoding="utf-8")


def build(config: EncoderConfig, weights: Mapping[str, torch.Tensor]) -> AudioEncoder:
    """An encoder of these weights, in their dtype. Raises CheckpointError where names or shapes are not the config's."""
    with torch.device("meta"):
        encoder = AudioEncoder(config)
    expected = encoder.state_dict()
    if expected.keys() != weights.keys():
        missing, unknown = sorted(expected.keys() - weights.keys()), sorted(weights.keys() - expected.keys())
        raise CheckpointError(f"expected weights of an audio encoder; missing {missing[:3]}, unknown {unknown[:3]}")
    for name, tensor in expected.items():
        if tensor.shape != weights[name].shape:
            raise CheckpointError(f"expected {name} of shape {list(tensor.shape)}, got {list(weights[name].shape)}")
    encoder.load_state_dict(dict(weights), assign=True)
    return encoder


def from_hugging_face(encoder: Any, *, pool: int, projector: Any = None) -> AudioEncoder:
    """From the encoder of a Whisper or Qwen2-Audio model of transformers, and the one linear layer of Qwen2-Audio's projector."""
    config, weights = encoder.config, encoder.state_dict()
    if config.activation_function != "gelu":
        raise CheckpointError(f"expected an encoder with the activation gelu, got {config.activation_function!r}")
    shape = EncoderConfig(
        bins=config.num_mel_bins,
        width=config.d_model,
        layers=config.encoder_layers,
        heads=config.encoder_attention_heads,
        ffn=config.encoder_ffn_dim,
        positions=config.max_source_positions,
        pool=pool,  # type: ignore[arg-type]  # the config says what it expects
        projector=None if projector is None else Projector(out=projector.out_features),
    )
    plain = ("conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias", "embed_positions.weight", "layer_norm.weight", "layer_norm.bias")
    found = {name: weights[name] for name in plain}
    for layer in range(config.encoder_layers):
        prefix = f"layers.{layer}."
        for ours, theirs in _NAMES.items():
            for kind in ("weight", "bias"):
                found[f"{prefix}{ours}.{kind}"] = weights[f"{prefix}{theirs}.{kind}"]
        q, k, v = (f"{prefix}self_attn.{name}" for name in ("q_proj", "k_proj", "v_proj"))
        found[f"{prefix}qkv.weight"] = torch.cat([weights[f"{name}.weight"] for name in (q, k, v)])
        bias = weights[f"{q}.bias"]
        found[f"{prefix}qkv.bias"] = torch.cat([bias, torch.zeros_like(bias), weights[f"{v}.bias"]])
    if projector is not None:
        found |= {f"projector.{name}": tensor for name, tensor in projector.state_dict().items()}
    return build(shape, found)


def _from_whisper(reference: str) -> AudioEncoder:
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        kind = AutoConfig.from_pretrained(reference).model_type
        if kind != "whisper":  # transformers would fill a Whisper of its own with random weights
            raise ValueError(f"it is a model of type {kind!r}")
        loaded: Any = WhisperModel.from_pretrained(reference, use_safetensors=True, output_loading_info=True)
    except (OSError, ValueError, KeyError) as error:
        looked_for = f"{CONFIG_FILE}, {audio_ctranslate2.FILE} or a Whisper model with safetensors weights"
        raise CheckpointError(f"expected {looked_for} at {reference!r}: {error}") from error
    model, report = loaded
    missing = sorted(name for name in report["missing_keys"] if name.startswith("encoder."))
    if missing:
        raise CheckpointError(f"expected every weight of the encoder at {reference!r}; missing {missing[:3]}")
    return from_hugging_face(model.encoder, pool=2)


def _read(folder: Path) -> AudioEncoder:
    config = read_config(folder)
    try:
        parts = [load_file(path) for path in sorted(folder.glob(_PARTS)) or [folder / WEIGHTS_FILE]]
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"expected {WEIGHTS_FILE} in {folder}: {error}") from error
    return build(config, {name: tensor for part in parts for name, tensor in part.items()})
