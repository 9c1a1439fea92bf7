"""Batch NLL: what the model says with everything visible, which keeps what it knew before. Knows no view but that one."""

import torch
from torch.nn import functional


def batch_nll(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Sum over R predictions of -log P(y_t | y_<t, x): logits [R, V], labels [R]; nats (ProactiveLLM, L_batch)."""
    return functional.cross_entropy(logits, labels, reduction="sum")
