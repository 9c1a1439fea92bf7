"""Weighted head: certainty, attention to the source, and lag in one sum. Knows not what each is worth: weights are given.

Certainty alone stalls on what a small model does not know with the whole source either, and is sure of what it makes up where it looks at
no source at all: docs/log.md has figures.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from heads.base import Need, Signals
from heads.entropy import Entropy
from heads.mass import Mass
from heads.wait_k import WaitK

Weight = Annotated[float, Field(ge=0, le=10)]


@dataclass(frozen=True)
class Weighted:
    """score = (1 - H(P) / log V) + mass * (sum of the attention to the source) + lag * (words read - words written): three heads' scores.

    mass: what all attention is worth in certainty; 0 needs no attention
    lag:  what a word is worth by which the target is behind. Of audio, decision points take the place of the words read
    With both 0 it is the entropy head; with a large `lag` wait-k.
    """

    default_threshold: ClassVar[float] = 1.6
    mass: Weight = 0.7
    lag: Weight = 0.15

    @property
    def needs(self) -> frozenset[Need]:
        """Entropy, and attention unless it weighs nothing."""
        return Entropy.needs | Mass.needs if self.mass else Entropy.needs

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]; without bounds, as a target may be any number of words behind its source, or ahead of it."""
        scores = Entropy().score(signals)
        if self.mass:
            scores = scores + self.mass * Mass().score(signals)
        return scores + self.lag * WaitK().score(signals)
