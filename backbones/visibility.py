"""The offline truth: one masked, unpacked, full forward with a given phi. Streaming must equal it on every prefix.

Defines the group positions and the visibility mask of docs/architecture.md, apart from slots and layouts. Tests and training build on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Trajectory:
    """A finished session as token ids, with what each target row saw.

    source:  the source group: prompt, stream and, if it became visible, the source end
    target:  the target group: header, then the target
    visible: per target row, how many source rows it saw; never decreasing
    """

    source: Sequence[int]
    target: Sequence[int]
    visible: Sequence[int]


def positions(trajectory: Trajectory, offset: int) -> torch.Tensor:
    """[1, S + T]: 0, 1, … for the source group, offset + 0, offset + 1, … for the target group."""
    return torch.cat([torch.arange(len(trajectory.source)), offset + torch.arange(len(trajectory.target))])[None]


def mask(trajectory: Trajectory, dtype: torch.dtype) -> torch.Tensor:
    """[1, 1, S + T, S + T], additive: source rows see earlier source rows, target rows their visible source and earlier target rows."""
    s, t = len(trajectory.source), len(trajectory.target)
    seen = torch.zeros(s + t, s + t, dtype=torch.bool)
    seen[:s, :s] = torch.ones(s, s, dtype=torch.bool).tril()
    seen[s:, s:] = torch.ones(t, t, dtype=torch.bool).tril()
    seen[s:, :s] = torch.arange(s)[None] < torch.tensor(trajectory.visible)[:, None]
    return torch.zeros(s + t, s + t, dtype=dtype).masked_fill(~seen, float("-inf"))[None, None]


@torch.inference_mode()
def target_logits(model: Any, trajectory: Trajectory, offset: int) -> torch.Tensor:
    """[T, V]: logits of the target rows, by `model` with any attention that takes a dense mask (`eager`, `sdpa`)."""
    tokens = torch.tensor([[*trajectory.source, *trajectory.target]])
    out = model(input_ids=tokens, position_ids=positions(trajectory, offset), attention_mask=mask(trajectory, model.dtype), use_cache=False)
    logits: torch.Tensor = out.logits[0, len(trajectory.source) :]
    return logits
