"""CTC on what is heard (Graves et al. 2006): the target's tokens in their order, at places that nobody told.

Beside the paper's losses, for a new encoder: a backbone finds out what to look at once the tokens are in what it hears (docs/log.md).
Knows no view.
"""

from collections.abc import Sequence

import torch
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from errors import InvalidValueError


def ctc(scores: torch.Tensor, heard: Sequence[int], labels: torch.Tensor, written: Sequence[int], blank: int | None = None) -> torch.Tensor:
    """Sum over examples of -log P(tokens | what is heard), in nats; the last label of each, the end token, is not among the tokens.

    scores: [T, V]; heard: T of each example; labels: [R]; written: R of each example. The blank is the end token, if none is given: so
    there is nothing that a later stage would not find. An example that has more tokens than it is heard adds nothing, and so does a text,
    which is not heard. Raises InvalidValueError for a blank that is among the tokens.
    """
    silence = labels[-1:] if blank is None else labels.new_tensor([blank])
    if blank is not None and (labels == blank).any():
        raise InvalidValueError(f"expected targets without the blank, token {blank}; got one with it", param="loss.blank")
    used, places = torch.unique(torch.cat([labels, silence]), return_inverse=True)  # [U], [R + 1]
    log_p = pad_sequence([part.log_softmax(-1) for part in torch.split(_folded(scores, used), list(heard))])  # [T of the longest, B, U + 1]
    tokens = torch.cat([part[:-1] for part in torch.split(places[:-1], list(written))])
    lengths = torch.tensor(heard), torch.tensor([count - 1 for count in written])
    return functional.ctc_loss(log_p, tokens, *lengths, blank=int(places[-1]), reduction="sum", zero_infinity=True)


def _folded(scores: torch.Tensor, used: torch.Tensor) -> torch.Tensor:
    """[T, V] -> [T, U + 1]: the used tokens' scores, and one for all others together. Probabilities and gradients stay what they were, and
    the loss no longer goes over tokens that are in none of its paths, which was most of a step with a vocabulary of 50,000."""
    if len(used) == scores.shape[1]:
        return scores
    others = scores.index_fill(1, used, -torch.inf).logsumexp(1, keepdim=True)
    return torch.cat([scores.index_select(1, used), others], dim=1)
