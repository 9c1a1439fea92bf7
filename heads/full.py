"""Full, a baseline: batch decoding, which writes only once the source has ended. Looks at nothing."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from heads.base import Need, Signals


@dataclass(frozen=True)
class Full:
    """score = -inf: no threshold is ever reached, so only the forced writes at the end of the source remain."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    default_threshold: ClassVar[float] = 0.0

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]."""
        return torch.full((signals.phi.shape[0],), float("-inf"))
