"""Qwen2-Audio checkpoints, taken apart: its encoder as an AudioEncoder, its language model as one that a Backbone takes.

Knows how transformers nests the two. Knows nothing of streams.
"""

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, Qwen2AudioForConditionalGeneration

from backbones import attention
from backbones.audio_encoder import AudioEncoder
from backbones.audio_weights import from_hugging_face
from errors import CheckpointError


def load_qwen2_audio(reference: str, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> tuple[AudioEncoder, Any]:
    """From a folder or hub name with safetensors weights. Raises CheckpointError for any other model."""
    try:
        kind = AutoConfig.from_pretrained(reference).model_type
        if kind != "qwen2_audio":
            raise ValueError(f"it is a model of type {kind!r}")
        model = Qwen2AudioForConditionalGeneration.from_pretrained(reference, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"expected a Qwen2-Audio model with safetensors weights at {reference!r}: {error}") from error
    encoder, language = split(model)
    return encoder.to(device).eval().requires_grad_(False), language.to(device).eval().requires_grad_(False)


def split(model: Any, *, attn: str = attention.NAME) -> tuple[AudioEncoder, Any]:
    """(encoder with pooling and projector, causal language model with the attention `attn`). Both share `model`'s modules or weights."""
    encoder = from_hugging_face(model.model.audio_tower, pool=2, projector=model.model.multi_modal_projector.linear)
    with torch.device("meta"):  # a frame only: what is in it is put there below
        language = AutoModelForCausalLM.from_config(model.config.text_config, dtype=model.dtype)  # type: ignore[no-untyped-call]
    language.model, language.lm_head = model.model.language_model, model.lm_head
    language.set_attn_implementation(attn)
    return encoder, language
