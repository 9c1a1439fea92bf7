"""Attention over KV slots, registered with transformers as one attention function: no model is forked.

The function gets q, k, v of all packed tokens and the tick's layout as keyword arguments. It knows nothing of sessions or heads' scores.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, AttentionMaskInterface

from backbones.layout import Layout, Taps
from backbones.slots import KVSlots

NAME = "proactive_slots"


@dataclass(frozen=True)
class Members:
    """Selected heads that share a key head: [n] which of its query heads, and the place of the first of them among all selected."""

    query_heads: torch.Tensor
    first: int


# Selected heads of a layer, by key head.
Heads = Mapping[int, Members]


def attend(  # noqa: PLR0913 (the interface is transformers')
    module: torch.nn.Module,
    query: torch.Tensor,  # [1, H, N, d]
    key: torch.Tensor,  # [1, KV, N, d]
    value: torch.Tensor,  # [1, KV, N, d]
    attention_mask: torch.Tensor | None,
    *,
    scaling: float,
    slots: KVSlots,
    layout: Layout,
    tapped: Mapping[int, Heads],
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Writes the tick's keys and values into their rows, then lets every query attend to its slice. Returns [1, N, H, d].

    Every row is written before any is read, so a probe sees the source tokens that came with it. `tapped` maps a layer to the
    heads whose attention is wanted.
    """
    layer = module.layer_idx
    assert isinstance(layer, int)
    keys, values = slots.key[layer], slots.value[layer]  # [rows, KV, d]
    keys.index_copy_(0, layout.rows, key[0].transpose(0, 1))
    values.index_copy_(0, layout.rows, value[0].transpose(0, 1))
    folded = _fold(query, keys.shape[1])  # [N, KV, G, d]
    if layer in tapped:
        _tap(folded, keys, layout.taps, tapped[layer], scaling)
    over = attend_per_slot if query.device.type == "cpu" else attend_padded
    out = over(folded, keys, values, layout, scaling)  # [N, KV, G, d]
    return out.reshape(1, out.shape[0], -1, out.shape[3]), None


def _fold(query: torch.Tensor, kv_heads: int) -> torch.Tensor:
    """[1, H, N, d] -> [N, KV, G, d]: the G query heads of a key head become one axis, as `enable_gqa` is ten times slower on CPU."""
    _, heads, count, width = query.shape
    return query[0].transpose(0, 1).reshape(count, kv_heads, heads // kv_heads, width)


def attend_per_slot(folded: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, layout: Layout, scaling: float) -> torch.Tensor:
    """[N, KV, G, d] -> [N, KV, G, d], one call a query on a slice of the buffer: nothing is copied or masked for a probe."""
    _, kv_heads, group, width = folded.shape
    stride = (0, width, keys.stride(0), 1)
    outs = []
    for query in layout.queries:
        count, length = query.count, query.high - query.low
        size, start = (1, kv_heads, length, width), query.low * keys.stride(0)
        k = keys.as_strided(size, stride, start)
        v = values.as_strided(size, stride, start)
        q = folded.narrow(0, query.first, count)  # [n, KV, G, d]
        if count == 1:
            outs.append(functional.scaled_dot_product_attention(q, k, v, scale=scaling))
        else:
            q = q.permute(1, 2, 0, 3).reshape(1, kv_heads, group * count, width)
            out = functional.scaled_dot_product_attention(q, k, v, attn_mask=query.mask, scale=scaling)
            outs.append(out.view(kv_heads, group, count, width).permute(2, 0, 1, 3))
    if layout.spare:
        outs.append(folded.new_zeros(layout.spare, kv_heads, group, width))
    return torch.cat(outs)


def attend_padded(folded: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, layout: Layout, scaling: float) -> torch.Tensor:
    """The same in one call, for devices where a launch costs more than padding: queries padded to the longest, keys gathered."""
    _, kv_heads, group, width = folded.shape
    padded = layout.padded
    batch, count = padded.packed.shape
    k = keys[padded.keys].transpose(1, 2)  # [B, KV, W, d]
    v = values[padded.keys].transpose(1, 2)
    q = folded[padded.packed].permute(0, 2, 3, 1, 4).reshape(batch, kv_heads, group * count, width)
    out = functional.scaled_dot_product_attention(q, k, v, attn_mask=padded.mask, scale=scaling)
    out = out.view(batch, kv_heads, group, count, width).permute(0, 3, 1, 2, 4)  # [B, n, KV, G, d]
    result = torch.zeros_like(folded)  # the spare rows stay so
    result[padded.packed[padded.valid]] = out[padded.valid]
    return result


def _tap(folded: torch.Tensor, keys: torch.Tensor, taps: Taps, heads: Heads, scaling: float) -> None:
    """Adds the attention of this layer's selected heads. SDPA gives no weights, so these few heads are done again, all probes at once.

    A map of every head is never made, and none is kept. One session at a time costs three times as much (docs/log.md).
    """
    batch, width, columns = taps.weights.shape
    for kv_head, members in heads.items():
        k = keys.select(1, kv_head).index_select(0, taps.keys).view(batch, width, -1)  # [B, W, d]
        q = folded.select(1, kv_head).index_select(0, taps.packed).index_select(1, members.query_heads)  # [B, n, d]
        scores = torch.bmm(k, q.transpose(1, 2)).float() * scaling + taps.mask  # [B, W, n]
        p = scores.softmax(dim=1)
        if columns == 1:
            taps.weights.add_(p.sum(dim=2, keepdim=True))
        else:
            taps.weights.narrow(2, members.first, p.shape[2]).copy_(p)


def _no_mask(*_: Any, **__: Any) -> None:
    """Visibility is in the layout's slices; transformers need not build a mask."""


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, _no_mask)
