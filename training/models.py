"""The model that is trained: loaded from a base or made from nothing, whole or with adapters. Knows no data set and no loss."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, trainers
from tokenizers import models as tokenizer_models
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from backbones import adapters, loading
from backbones.adapters import LowRank
from backbones.audio_encoder import AudioEncoder
from backbones.checkpoint import CheckpointConfig, Template
from errors import CheckpointError, InvalidValueError
from tasks import Task
from training.attention import FUSED
from training.config import Fresh, Lora, Model
from training.vocabulary import shrink

_ALPHABET = pre_tokenizers.ByteLevel.alphabet()


@dataclass(frozen=True)
class Trainee:
    """A model with what is written beside it. `adapters` is peft's model around it, or None for full fine-tuning.

    encoder: of a model that hears; teacher: of that encoder, if it has one
    """

    model: Any
    adapters: Any
    tokenizer: Any
    config: CheckpointConfig
    encoder: AudioEncoder | None = None
    teacher: AudioEncoder | None = None


def load_base(
    settings: Model, lora: Lora | None, tasks: Mapping[str, Task] | None, *, dtype: torch.dtype, attention: str = FUSED
) -> Trainee:
    """A base, in float32, or with its frozen weights in `dtype` under adapters. Adapters that it has are trained further, or merged.

    Raises CheckpointError if there is none to be found, InvalidValueError for other adapters than those that the base has.
    """
    assert settings.base is not None
    found = loading.find(settings.base)
    changes = adapters.read(found.adapter) if found.adapter else {}
    weights = loading.locate(found.base, Path())
    try:
        model = AutoModelForCausalLM.from_pretrained(
            weights, dtype=dtype if lora else torch.float32, attn_implementation=attention, use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(weights)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"expected a causal language model with safetensors weights at {weights!r}: {error}") from error
    if settings.layers is not None:
        _cut(model, settings.layers)
    if settings.vocabulary is not None:
        tokenizer = shrink(model, tokenizer, settings.vocabulary)
    adapted = _adapted(model, lora) if lora else None
    if adapted is None:
        adapters.apply(model, changes, merge=True, where=f"the adapter {found.adapter}")
        model.requires_grad_(True)
    elif changes and lora:
        _begin_at(model, changes, lora)
    # Adapters alone are served on their base; everything else has its weights in its own folder.
    served_on = loading.from_anywhere(found.base, Path()) if lora and not lora.merge else None
    config = _settled(found.config.model_copy(update={"backbone": served_on}), settings, tasks)
    return Trainee(model, adapted, tokenizer, config)


def make_fresh(settings: Model, tasks: Mapping[str, Task] | None, tokenizer: Any, *, seed: int, attention: str = FUSED) -> Trainee:
    """Random weights, the same for the same seed. Raises InvalidValueError for sizes that the architecture does not take."""
    assert settings.fresh is not None
    ends = {"eos_token_id": tokenizer.eos_token_id, "bos_token_id": None, "pad_token_id": None}
    torch.manual_seed(seed)
    try:
        shape = AutoConfig.for_model(settings.fresh.architecture, vocab_size=len(tokenizer), **ends, **settings.fresh.sizes)
        model = AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
            shape, attn_implementation=attention, dtype=torch.float32
        )
    except (ValueError, TypeError) as error:
        raise InvalidValueError(f"expected sizes that {settings.fresh.architecture} takes: {error}", param="model.fresh") from error
    return Trainee(model, None, tokenizer, _settled(CheckpointConfig(), settings, tasks))


def learn_tokenizer(fresh: Fresh, template: Template, texts: Iterable[str]) -> Any:
    """Byte-level BPE over `texts`; digits are tokens of their own, and so is each part of the template. The end token is the template's."""
    tokenizer = Tokenizer(tokenizer_models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    end = template.end
    if not end:
        raise InvalidValueError("expected a template with an end token for a fresh model", param="model.template.end")
    special = [part for part in (template.before, template.source_end, template.header, end) if part]
    trainer = trainers.BpeTrainer(
        vocab_size=fresh.vocabulary, special_tokens=list(dict.fromkeys(special)), initial_alphabet=_ALPHABET, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=end, pad_token=end)  # type: ignore[no-untyped-call]


def _cut(model: Any, layers: int) -> None:
    """Leaves the first `layers` layers. Raises InvalidValueError if there are fewer."""
    config, whole = model.config, model.base_model.layers
    if layers > len(whole):
        raise InvalidValueError(f"expected at most the {len(whole)} layers of the base, got {layers}", param="model.layers")
    model.base_model.layers = whole[:layers]
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]


def _settled(config: CheckpointConfig, settings: Model, tasks: Mapping[str, Task] | None) -> CheckpointConfig:
    """proactivellm.json of what is trained: the base's, with what the run's configuration says otherwise."""
    given = {name: getattr(settings, name) for name in ("name", "offset", "system", "template")} | {"tasks": tasks}
    # Selected heads are those of other weights.
    return config.model_copy(update={name: value for name, value in given.items() if value is not None} | {"attention_heads": None})


def _adapted(model: Any, lora: Lora) -> Any:
    from peft import LoraConfig, get_peft_model  # noqa: PLC0415 (seconds to import, and full fine-tuning needs none of it)

    layers = range(lora.first_layer, model.config.num_hidden_layers)
    if not layers:
        raise InvalidValueError(
            f"expected lora.first_layer below the base's {model.config.num_hidden_layers} layers; got {lora.first_layer}",
            param="lora.first_layer",
        )
    wanted = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets),
        layers_to_transform=list(layers) if lora.first_layer else None,
        task_type="CAUSAL_LM",
    )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # peft asks transformers by a name that is to go
            return get_peft_model(model, wanted)
    except ValueError as error:
        raise InvalidValueError(f"expected lora.targets to be linear layers of the base: {error}", param="lora.targets") from error


def _begin_at(model: Any, changes: Mapping[str, LowRank], lora: Lora) -> None:
    """Puts the adapters that the base has into the new ones, which must be of the same form."""
    layers = {name: layer for name, layer in model.named_modules() if "default" in getattr(layer, "lora_A", ())}
    down, up = ({name: getattr(layer, side)["default"].weight for name, layer in layers.items()} for side in ("lora_A", "lora_B"))
    fits = layers.keys() == changes.keys() and all(
        (change.down.shape, change.up.shape, change.scale) == (down[name].shape, up[name].shape, layers[name].scaling["default"])
        for name, change in changes.items()
    )
    if not fits:
        first = next(iter(changes.values()))
        rank = first.down.shape[0]
        theirs = rank, round(first.scale * rank), sorted({name.rpartition(".")[2] for name in changes})
        raise InvalidValueError(f"expected lora with r, alpha and targets of the base's own adapters, {theirs}; got {lora}", param="lora")
    with torch.no_grad():
        for name, change in changes.items():
            down[name].copy_(change.down)
            up[name].copy_(change.up)
