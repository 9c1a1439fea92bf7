"""AlignAtt (Papi et al., 2023), a baseline: wait while the most attended unit is among the newest. Knows no shape but the argmax."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from heads.base import Need, Signals, required


@dataclass(frozen=True)
class AlignAtt:
    """score = units after the most attended one; the threshold is f, the frontier: READ while the argmax falls in the last f units."""

    needs: ClassVar[frozenset[Need]] = frozenset({"attention"})
    default_threshold: ClassVar[float] = 2.0

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]; -1 while no source unit is visible, so that even f = 0 reads first."""
        p = required(signals.attention, "attention")
        if p.shape[1] == 0:
            return torch.full((p.shape[0],), -1.0)
        return (signals.phi - 1 - p.argmax(dim=1)).float().where(signals.phi > 0, -1.0)
