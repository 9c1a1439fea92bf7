"""Attention as training computes it on a CPU in bfloat16: plain products. Knows shapes and masks; no model, no loss.

torch's fused kernel for CPUs is made for memory, not for short sequences in bfloat16: 9 heads of 16 sequences of 115 rows take it 63 ms
forwards and backwards, plain products 20; 8 of 230 rows 146 and 87 (docs/log.md).
"""

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS, AttentionMaskInterface

FUSED, PLAIN = "sdpa", "proactivellm_plain"


def choose(dtype: torch.dtype, *, cpu: bool) -> str:
    """The name under which transformers finds the attention that is fastest in `dtype`.

    Both take dense masks, without a fork of any model.
    """
    return PLAIN if cpu and dtype is torch.bfloat16 else FUSED


def plain(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """query [B, H, N, D], key and value [B, G, N, D], attention_mask [B, 1, N, N] bool -> [B, N, H, D], by softmax(Q K^T / sqrt(D)) V.

    The H / G heads of a group share keys: they are rows of one product.
    """
    batch, heads, rows, width = query.shape
    groups = key.shape[1]
    scale = width**-0.5 if scaling is None else scaling
    scores = (query * scale).reshape(batch, groups, -1, width) @ key.transpose(-1, -2)  # [B, G, H / G * N, N]
    seen = scores.view(batch, heads, rows, -1).masked_fill(~attention_mask, -torch.inf)
    weights = torch.dropout(seen.softmax(-1), dropout, module.training)
    out = weights.view(batch, groups, -1, rows) @ value
    return out.view(batch, heads, rows, width).transpose(1, 2).contiguous(), None


AttentionInterface.register(PLAIN, plain)
AttentionMaskInterface.register(PLAIN, ALL_MASK_ATTENTION_FUNCTIONS[FUSED])
