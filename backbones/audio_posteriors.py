"""What is heard, as a mixture of the backbone's own embeddings: each weighted with the probability that its token is what was said there.

For an encoder that CTC has taught the backbone's tokens. What CTC leaves out, blanks and repeats, can be left out here as well: then what
is heard takes about as many rows as what is read. Knows no encoder and no loss.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn import functional

NO_TOKEN = -1  # before a stream's first


@dataclass(frozen=True)
class Vocabulary:
    """Of a backbone, both [V, D], and one where they are shared. head: rows of `lm_head`; embeddings of its input.

    blank: the token that CTC hears between tokens, where what it leaves out is to be left out
    """

    head: torch.Tensor
    embeddings: torch.Tensor
    blank: int | None = None

    def scores(self, heard: torch.Tensor, tokens: Sequence[int] | None = None) -> torch.Tensor:
        """[T, D] -> [T, V] or [T, k] of some tokens, before a softmax; what CTC is computed from (training/losses/ctc.py)."""
        rows = self.head if tokens is None else self.head[list(tokens)]
        out: torch.Tensor = functional.rms_norm(heard, heard.shape[-1:]) @ rows.T
        return out

    def kept(self, scores: torch.Tensor, before: int = NO_TOKEN) -> tuple[torch.Tensor, int]:
        """[T, V] -> [T] bool, and the most probable token of the last. before: that of the one before the first of these.

        Of a run of one token the first place stands, not the most certain one: that would have to be waited for.
        """
        if self.blank is None or not len(scores):
            return torch.ones(len(scores), dtype=torch.bool, device=scores.device), before
        best = scores.argmax(-1)
        previous = torch.cat([best.new_tensor([before]), best[:-1]])
        return (best != self.blank) & (best != previous), int(best[-1])

    def mixed(self, scores: torch.Tensor) -> torch.Tensor:
        """[T, V] -> [T, D]. Where one token is certain, its embedding: what the backbone would have got for text."""
        return scores.float().softmax(-1).to(self.embeddings.dtype) @ self.embeddings
