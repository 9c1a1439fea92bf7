"""Entropy head: the model is certain of the next token. Knows nothing of attention or of the source."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from heads.base import Need, Signals, required


@dataclass(frozen=True)
class Entropy:
    """score = 1 - H(P) / log V, in [0, 1] (ProactiveLLM, "entropy-driven head", normalised)."""

    needs: ClassVar[frozenset[Need]] = frozenset({"entropy"})
    default_threshold: ClassVar[float] = 0.8

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]; 1 for a distribution on one token, 0 for the uniform one."""
        return 1.0 - required(signals.entropy, "entropy") / signals.log_vocab
