"""What an encoder under the causal mask does not know of what one with full context hears. Needs no labels, only recordings.

Beside the paper's losses: Whisper's encoder was trained with the whole recording in view, and under the mask its tokens mean little. They
are brought back to what they were as far as the past tells, and with them what Whisper knows of people who speak (docs/log.md).
"""

import torch

LEAST = 1e-6  # of a gain of 0 nothing is heard


def hindsight(heard: torch.Tensor, known: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """Sum over audio tokens of the mean over dimensions of the squared distance, in units of how far the teacher's tokens spread.

    heard, known: [T, width] of the one that learns, and of its teacher; spread: [width] squared gains of the teacher's last norm, so that
    what a recording costs does not depend on those beside it, as it would with the tokens' own variance
    """
    return ((heard - known).square() / spread.clamp(min=LEAST)).mean(1).sum()
