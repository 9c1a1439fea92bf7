"""Attention head: the probe's attention over the source is focused, not dispersed. Knows nothing of the next-token distribution."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field

from heads.base import MAX_COUNT, Need, Signals, required


@dataclass(frozen=True)
class Attention:
    """`peak`: the largest attention to one unit. `focus`: 1 - n_rho / phi (ProactiveLLM, "attention-driven head").

    kind:        `score` in requests: `peak` or `focus` (n_rho: the fewest units that hold `rho` of the mass; it cannot exceed 1 - 1 / phi)
    accumulate:  average the probe's attention with that of the target tokens written so far
    frontier, alpha: veto (score -inf) while the last `frontier` units hold more than `alpha` of the attention to the source; 0: no veto
    """

    default_threshold: ClassVar[float] = 0.1

    kind: Annotated[Literal["peak", "focus"], Field(alias="score")] = "peak"
    rho: Annotated[float, Field(gt=0, le=1)] = 0.9
    accumulate: bool = False
    frontier: Annotated[int, Field(ge=0, le=MAX_COUNT)] = 0
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5

    @property
    def needs(self) -> frozenset[Need]:
        """`history` only where it is averaged in: keeping it costs a sum a token."""
        return frozenset({"attention", "history"}) if self.accumulate else frozenset({"attention"})

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]; 0 while no source unit is visible."""
        p = required(signals.attention, "attention")  # [B, U]
        if p.shape[1] == 0:
            return torch.zeros(p.shape[0])
        if self.accumulate:
            p = (p + required(signals.history, "history")) / (signals.index + 1)[:, None]
        raw = p.amax(dim=1) if self.kind == "peak" else focus(p, signals.phi, self.rho)
        return torch.where(self._vetoed(p, signals.phi), float("-inf"), raw)

    def _vetoed(self, p: torch.Tensor, phi: torch.Tensor) -> torch.Tensor:
        """[B] bool: the frontier, where the evidence may still be arriving, holds more than alpha."""
        if self.frontier == 0:
            return torch.zeros(p.shape[0], dtype=torch.bool)
        unit = torch.arange(p.shape[1])  # [U]
        at_frontier = unit[None] >= (phi - self.frontier)[:, None]  # [B, U]
        total = p.sum(dim=1)
        return (p * at_frontier).sum(dim=1) > self.alpha * total


def focus(p: torch.Tensor, phi: torch.Tensor, rho: float) -> torch.Tensor:
    """[B]: 1 - n_rho / phi on p [B, U] renormalised; 0 where nothing of the source is attended to."""
    total = p.sum(dim=1, keepdim=True)
    share = p.sort(dim=1, descending=True).values / total.clamp_min(1e-12)
    # The fewest units whose sum reaches rho: those before which the running sum is still short of it.
    before = share.cumsum(dim=1) - share
    n_rho = (before < rho - 1e-6).sum(dim=1)
    return torch.where(total[:, 0] > 0, 1.0 - n_rho.clamp(min=1) / phi.clamp(min=1), 0.0).clamp(min=0.0)
