"""Fixed fraction of the source, a baseline: write from a share of the source on. Needs the source's length, which only evaluation knows."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from heads.base import MAX_COUNT, Need, Signals


@dataclass(frozen=True)
class FixedFraction:
    """score = phi / M; the threshold is the fraction. With the evidence's end for M and threshold 1 it is the oracle stop."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    default_threshold: ClassVar[float] = 0.8

    source_length: Annotated[int, Field(ge=1, le=MAX_COUNT)]

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]."""
        return signals.phi.double() / self.source_length
