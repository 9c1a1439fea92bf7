"""What moves the weights: AdamW, or Muon with AdamW for what Muon is not for; the rate over a run. Knows parameters and no loss."""

from collections.abc import Sequence
from math import cos, pi

import torch
from torch import nn

from training.config import Optimizer


def optimizers(model: nn.Module, settings: Optimizer) -> list[torch.optim.Optimizer]:
    """For all trained parameters, each of them in one optimizer. Norms and biases do not decay."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = _between(model) if settings.name == "muon" else []
    taken = {id(parameter) for parameter in matrices}
    found: list[torch.optim.Optimizer] = []
    if matrices:
        found.append(torch.optim.Muon(matrices, lr=settings.lr, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw"))
    rest = [parameter for parameter in trained if id(parameter) not in taken]
    return [*found, *_adamw(rest, settings)]


def _adamw(parameters: Sequence[nn.Parameter], settings: Optimizer) -> list[torch.optim.Optimizer]:
    groups = [
        {"params": [parameter for parameter in parameters if parameter.dim() > 1], "weight_decay": settings.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.dim() <= 1], "weight_decay": 0.0},
    ]
    filled = [group for group in groups if group["params"]]
    return [torch.optim.AdamW(filled, lr=settings.lr, betas=settings.betas)] if filled else []


def _between(model: nn.Module) -> list[nn.Parameter]:
    """The trained matrices of linear layers, without the one that gives logits: its rows are tokens, as an embedding's are."""
    layers = [layer for name, layer in model.named_modules() if isinstance(layer, nn.Linear) and not name.endswith("lm_head")]
    return [parameter for layer in layers for name, parameter in layer.named_parameters() if name == "weight" and parameter.requires_grad]


def learning_rate(settings: Optimizer, done: float) -> float:
    """Rises linearly over the warm-up, then follows half a cosine down to `floor * lr`. `done`: share of the run, this step included."""
    if done < settings.warmup:
        return settings.lr * done / settings.warmup
    along = min((done - settings.warmup) / max(1 - settings.warmup, 1e-9), 1.0)
    return settings.lr * (settings.floor + (1 - settings.floor) * (1 + cos(pi * along)) / 2)
