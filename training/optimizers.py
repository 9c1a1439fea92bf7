"""What moves the weights: AdamW, or Muon with AdamW for what Muon is not for; the rate over a run. Knows parameters and no loss."""

from collections.abc import Sequence
from math import cos, pi
from typing import Any

import torch
from torch import nn

from training.config import Optimizer

SCALE = "scale"  # of a group: its rate, relative to the optimizer's


def optimizers(model: nn.Module, settings: Optimizer, *, encoder_lr: float = 1.0) -> list[torch.optim.Optimizer]:
    """For all trained parameters, each of them in one optimizer. Norms and biases do not decay.

    encoder_lr: of an audio encoder without its projector, relative to the others' rate. It was trained before: Muon takes none of it.
    """
    trained = [parameter for name, parameter in model.named_parameters() if parameter.requires_grad and not _is_encoders(name)]
    encoders = [parameter for name, parameter in model.named_parameters() if parameter.requires_grad and _is_encoders(name)]
    matrices = _between(model) if settings.name == "muon" else []
    taken = {id(parameter) for parameter in matrices}
    found: list[torch.optim.Optimizer] = []
    if matrices:
        found.append(torch.optim.Muon(matrices, lr=settings.lr, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw"))
    rest = [parameter for parameter in trained if id(parameter) not in taken]
    groups = [*_groups(rest, settings, 1.0), *_groups(encoders, settings, encoder_lr)]
    return [*found, torch.optim.AdamW(groups, lr=settings.lr, betas=settings.betas)] if groups else found


def _groups(parameters: Sequence[nn.Parameter], settings: Optimizer, scale: float) -> list[dict[str, Any]]:
    groups = [
        {"params": [parameter for parameter in parameters if parameter.dim() > 1], "weight_decay": settings.weight_decay, SCALE: scale},
        {"params": [parameter for parameter in parameters if parameter.dim() <= 1], "weight_decay": 0.0, SCALE: scale},
    ]
    return [group for group in groups if group["params"]]


def _is_encoders(name: str) -> bool:
    return name.startswith("encoder.") and not name.startswith("encoder.projector.")


def _between(model: nn.Module) -> list[nn.Parameter]:
    """The trained matrices of linear layers, without the one that gives logits: its rows are tokens, as an embedding's are."""
    layers = [
        layer
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and not name.endswith("lm_head") and not _is_encoders(name)
    ]
    return [parameter for layer in layers for name, parameter in layer.named_parameters() if name == "weight" and parameter.requires_grad]


def learning_rate(settings: Optimizer, done: float) -> float:
    """Rises linearly over the warm-up, then follows half a cosine down to `floor * lr`. `done`: share of the run, this step included."""
    if done < settings.warmup:
        return settings.lr * done / settings.warmup
    along = min((done - settings.warmup) / max(1 - settings.warmup, 1e-9), 1.0)
    return settings.lr * (settings.floor + (1 - settings.floor) * (1 + cos(pi * along)) / 2)
