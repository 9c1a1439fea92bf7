"""Random gate, a baseline: write with a fixed probability, whatever the model says. What a head must beat at the same coverage."""

from dataclasses import dataclass
from random import Random
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from heads.base import Need, Signals

MAX_SEED = 2**63 - 1


@dataclass(frozen=True)
class RandomGate:
    """score = a number in [0, 1) that only seed, phi and target token decide; writes with probability 1 - threshold."""

    needs: ClassVar[frozenset[Need]] = frozenset()
    default_threshold: ClassVar[float] = 0.8

    seed: Annotated[int, Field(ge=0, le=MAX_SEED)] = 0

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]."""
        places = zip(signals.phi.tolist(), signals.index.tolist(), strict=True)
        return torch.tensor([Random(f"{self.seed}:{phi}:{index}").random() for phi, index in places])  # noqa: S311 (a baseline, no secret)
