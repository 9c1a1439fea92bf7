"""Wait-k (Ma et al., 2019), a baseline: stay k words behind the source. Looks at counts only, never at the model."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from heads.base import Need, Signals


@dataclass(frozen=True)
class WaitK:
    """score = words read - words written; the threshold is k. Of audio, decision points take the place of the words read."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    default_threshold: ClassVar[float] = 3.0

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]; the tokens of a begun word score as its first token did."""
        return (signals.read - signals.written).float()
