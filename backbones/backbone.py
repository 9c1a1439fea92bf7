"""The frozen model behind one call: packed source runs and target rows in, logits and attention of the probes out.

Knows positions, slots and layouts; knows nothing of sessions, heads' scores or text.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from backbones import attention
from backbones.layout import Layout, SourceRun, TargetRow, TargetRun, pack, round_size
from backbones.slots import KVSlots, SlotShape
from errors import CheckpointError

# Types whose frequencies do not depend on how long the sequence has become: a cached key must stay valid.
_ROPE_TYPES = {"default", "linear", "llama3", "yarn"}


@dataclass(frozen=True)
class ProbeOutputs:
    """Of P probes, in the order given. `attention` maps a probe to [phi], per source unit, where that was asked for and phi > 0.

    With `each_pair` it is [phi, pairs], the pairs in ascending order, instead of their mean.
    """

    logits: torch.Tensor  # [P, V]
    attention: dict[int, torch.Tensor]


class Backbone:
    """A Hugging Face causal language model with rotary positions, used as it is.

    model:   loaded with `attn_implementation=backbones.attention.NAME`
    offset:  first position of the target group
    pairs:   (layer, head) pairs that attention is averaged over; None: every head of the middle layer
    Raises CheckpointError for a model whose cache could not be split into groups.
    """

    def __init__(self, model: Any, *, offset: int = 0, pairs: Sequence[tuple[int, int]] | None = None) -> None:
        _check(model)
        self.model = model.eval().requires_grad_(False)
        self.offset = offset
        config = model.config
        self.max_positions: int = config.max_position_embeddings
        self.vocab_size: int = config.vocab_size
        width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
        self.shape = SlotShape(config.num_hidden_layers, config.num_key_value_heads, width, model.dtype)
        self._group = config.num_attention_heads // config.num_key_value_heads
        self.pairs = tuple(sorted(set(pairs or _middle_layer(config))))
        self._tapped = _by_layer(self.pairs, config, model.device)

    def slots(self, *, count: int, length: int) -> KVSlots:
        """Allocates KV slots on the model's device. `length` must fit the model's positions."""
        return KVSlots(self.shape, count=count, length=length, device=self.model.device)

    @torch.inference_mode()
    def warm_up(self, slots: KVSlots, *, tokens: int, probes: int) -> None:
        """Ticks of every size up to `tokens` and `probes`, into the scratch row: no kernel is left to be made in mid-stream."""
        for size in sorted({round_size(count) for count in range(1, tokens + 1)}):
            self.forward(slots, [SourceRun(slots.scratch, 0, [0])], [], at_least=size)
        for size in sorted({round_size(count) for count in range(1, probes + 1)}):
            self.model.lm_head(torch.zeros(size, self.model.config.hidden_size, dtype=self.shape.dtype, device=self.model.device))

    @torch.inference_mode()
    def forward(
        self,
        slots: KVSlots,
        runs: Sequence[SourceRun | TargetRun],
        targets: Sequence[TargetRow],
        *,
        at_least: int = 0,
        each_pair: bool = False,
    ) -> ProbeOutputs:
        """One pass over everything, filled up to `at_least` tokens. `lm_head` runs on the probes' rows only."""
        layout = pack(
            runs,
            targets,
            offset=self.offset,
            group=self._group,
            dtype=self.shape.dtype,
            device=self.model.device,
            scratch=slots.scratch.base,
            at_least=at_least,
            tap_columns=len(self.pairs) if each_pair else 1,
        )
        tapped = self._tapped if layout.tapped else {}
        hidden = self.model.base_model(
            **self._inputs(layout), position_ids=layout.positions, use_cache=False, slots=slots, layout=layout, tapped=tapped
        ).last_hidden_state  # [1, N, hidden]
        count = len(layout.probes)
        wanted = functional.pad(layout.probes, (0, round_size(count) - count))
        logits = self.model.lm_head(hidden[0, wanted])[:count]
        return ProbeOutputs(logits, self._per_unit(layout, each_pair=each_pair))

    def _inputs(self, layout: Layout) -> dict[str, torch.Tensor]:
        """The tick's ids, or embeddings where some of it was heard."""
        if not layout.heard:
            return {"input_ids": layout.tokens}
        embedded = self.model.get_input_embeddings()(layout.tokens)  # [1, N, hidden]
        for first, heard in layout.heard:
            embedded[0, first : first + len(heard)] = heard
        return {"inputs_embeds": embedded}

    def _per_unit(self, layout: Layout, *, each_pair: bool) -> dict[int, torch.Tensor]:
        """Token weights summed to units; averaged over the tapped (layer, head) pairs, or each for itself."""
        found = {}
        for row, tap in enumerate(layout.tapped):
            stream = layout.taps.weights[row, tap.column : tap.column + tap.units.of_token.shape[0]].cpu()  # [n, columns]
            per_unit = torch.zeros(tap.units.count, layout.tap_columns).index_add_(0, tap.units.of_token, stream)
            found[tap.probe] = per_unit if each_pair else per_unit[:, 0] / len(self.pairs)
        return found


def _check(model: Any) -> None:
    config = model.config
    if config._attn_implementation != attention.NAME:
        raise CheckpointError(f"expected a model loaded with attention {attention.NAME!r}, got {config._attn_implementation!r}")
    rope = (getattr(config, "rope_parameters", None) or {}).get("rope_type", "default")
    if rope not in _ROPE_TYPES:
        raise CheckpointError(f"expected rotary positions of type {', '.join(sorted(_ROPE_TYPES))}; got {rope!r}", param="rope_type")
    if any(kind != "full_attention" for kind in getattr(config, "layer_types", None) or ()):
        raise CheckpointError(f"expected full attention in every layer, got {sorted(set(config.layer_types))}", param="layer_types")
    if getattr(config, "sliding_window", None) and getattr(config, "use_sliding_window", True):
        raise CheckpointError(f"expected no sliding window, got one of {config.sliding_window} tokens", param="sliding_window")


def _middle_layer(config: Any) -> list[tuple[int, int]]:
    return [(config.num_hidden_layers // 2, head) for head in range(config.num_attention_heads)]


def _by_layer(pairs: Sequence[tuple[int, int]], config: Any, device: torch.device) -> dict[int, attention.Heads]:
    group = config.num_attention_heads // config.num_key_value_heads
    members: dict[int, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    first: dict[tuple[int, int], int] = {}
    for place, (layer, head) in enumerate(pairs):
        if not (0 <= layer < config.num_hidden_layers and 0 <= head < config.num_attention_heads):
            expected = f"layers below {config.num_hidden_layers} and heads below {config.num_attention_heads}"
            raise CheckpointError(f"expected attention_heads within {expected}; got ({layer}, {head})", param="attention_heads")
        members[layer][head // group].append(head % group)
        first.setdefault((layer, head // group), place)
    return {
        layer: {kv: attention.Members(torch.tensor(heads, device=device), first[layer, kv]) for kv, heads in by_kv.items()}
        for layer, by_kv in members.items()
    }
