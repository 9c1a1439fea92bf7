"""Mass head: how much of the probe's attention goes to the source at all. Knows not where in the source it goes."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from heads.base import Need, Signals, required


@dataclass(frozen=True)
class Mass:
    """score = the sum of the attention to all visible source units, in [0, 1]; the rest goes to prompt, sink and target."""

    needs: ClassVar[frozenset[Need]] = frozenset({"attention"})
    default_threshold: ClassVar[float] = 0.2

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]; 0 while no source unit is visible."""
        return required(signals.attention, "attention").sum(dim=1)
