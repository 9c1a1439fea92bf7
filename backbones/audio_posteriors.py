"""What is heard, as a mixture of the backbone's own embeddings: each weighted with the probability that its token is what was said there.

For an encoder that CTC has taught the backbone's tokens. Knows no encoder and no loss.
"""

from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Vocabulary:
    """Of a backbone, both [V, D], and one where they are shared. head: rows of `lm_head`; embeddings of its input."""

    head: torch.Tensor
    embeddings: torch.Tensor

    def scores(self, heard: torch.Tensor) -> torch.Tensor:
        """[T, D] -> [T, V], before a softmax; what CTC is computed from (training/losses/ctc.py)."""
        out: torch.Tensor = functional.rms_norm(heard, heard.shape[-1:]) @ self.head.T
        return out

    def mixed(self, scores: torch.Tensor) -> torch.Tensor:
        """[T, V] -> [T, D]. Where one token is certain, its embedding: what the backbone would have got for text."""
        return scores.float().softmax(-1).to(self.embeddings.dtype) @ self.embeddings
