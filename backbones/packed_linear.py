"""Linear layers whose bfloat16 weights were reordered once for the processor's matrix units; otherwise oneDNN does it at every call.

A fifth less time for a one-session tick (docs/log.md). Replaces modules by type, and knows no model.
"""

from typing import Any

import torch
from torch import nn


class PackedLinear(nn.Module):
    """`nn.Linear` on CPU in bfloat16, for inference: [..., in] -> [..., out]."""

    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        # For a batch of one row, which is what a tick is short of; any number of rows may come.
        self._weight = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), 1)
        self._bias = None if plain.bias is None else plain.bias.detach()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        out: torch.Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return out


def bfloat16_is_native() -> bool:
    """Whether oneDNN has bfloat16 for this processor. Without AVX-512 or its like it refuses to reorder it."""
    return hasattr(torch.ops.mkldnn, "_linear_pointwise") and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def pack_linears(model: Any) -> None:
    """Replaces the linear layers of a bfloat16 model on CPU; leaves any other model as it is, and all where oneDNN has no bfloat16."""
    if model.dtype is not torch.bfloat16 or model.device.type != "cpu" or not bfloat16_is_native():
        return
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear:
                setattr(module, name, PackedLinear(child))
    for parameter in model.parameters():
        # What is left is a view of the mapped weights file, and would keep all of it in memory.
        parameter.data = parameter.data.clone()
