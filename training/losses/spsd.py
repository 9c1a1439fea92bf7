"""Synchronous privileged self-distillation: the stream views follow the batch view of the same weights, which learns nothing from it.

Knows neither labels nor lambda.
"""

import torch


def spsd(teacher: torch.Tensor, student: torch.Tensor, top_k: int) -> torch.Tensor:
    """Sum over R predictions of KL(P_batch || P_stream), mean over K views; nats (ProactiveLLM, SPSD).

    teacher: [R, V] logits, detached here; student: [K, R, V]. The KL is over the teacher's `top_k` tokens and one bucket for all others,
    a lower bound of the full one.
    """
    teacher = teacher.detach()
    best = teacher.topk(min(top_k, teacher.shape[-1]), dim=-1).indices  # [R, k]
    p = _truncated(teacher, best)
    q = _truncated(student, best.expand(*student.shape[:-1], best.shape[-1]))
    return (p.exp() * (p - q)).sum() / student.shape[0]


def _truncated(logits: torch.Tensor, kept: torch.Tensor) -> torch.Tensor:
    """[..., k + 1] log-probabilities of the kept tokens and of all others together; [..., k] if there are no others."""
    log_total = logits.logsumexp(dim=-1, keepdim=True)
    top = logits.gather(-1, kept) - log_total
    if kept.shape[-1] == logits.shape[-1]:
        return top
    # Not 1 - sum of the kept: next to a certain token that leaves no digits.
    others = logits.scatter(-1, kept, float("-inf")).logsumexp(dim=-1, keepdim=True)
    return torch.cat([top, others - log_total], dim=-1)
