"""What an encoder under the causal mask does not know of what one with full context hears. Needs no labels, only recordings.

Beside the paper's losses: Whisper's encoder was trained with the whole recording in view, and under the mask its tokens mean little. They
are brought back to what they were as far as the past tells, and with them what Whisper knows of people who speak (docs/log.md).
"""

import torch

LEAST = 1e-6  # variance of what is always the same


def hindsight(heard: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    """Sum over audio tokens of the mean over dimensions of the squared distance, in variances of the teacher's tokens in this batch.

    heard, known: [T, width] of the one that learns, and of its teacher. To say always the teacher's mean costs 1 a token.
    """
    spread = known.var(0, correction=0).clamp(min=LEAST)
    return ((heard - known).square() / spread).mean(1).sum()
