"""Masked streaming language modelling: the next token from the part of the source that phi(t) shows. Knows nothing of the batch view."""

import torch
from torch.nn import functional


def mslm(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum over R predictions of -log P(y_t | y_<t, x_1:phi(t)), mean over K views; nats (ProactiveLLM, L_MSLM).

    logits: [K, R, V], labels: [R]
    """
    views = logits.shape[0]
    return functional.cross_entropy(logits.flatten(0, 1), labels.repeat(views), reduction="sum") / views
