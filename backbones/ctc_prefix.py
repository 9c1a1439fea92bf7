"""What CTC says of the next token: how probable each one is behind those written, by the sounds heard so far and nothing else.

A backbone finds what to write by what it is, CTC by where it is: weighed together they seldom skip or go round in circles (Watanabe et al.
2017, "Hybrid CTC/attention architecture for end-to-end speech recognition"). Knows one stream and its tokens; no session and no encoder.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from backbones.audio_posteriors import Vocabulary

Logs = NDArray[np.float64]

CANDIDATES = 32  # the backbone's best that are looked at
LEAST = -60.0  # log-probability beside the best candidate's: what CTC did not hear at all is improbable, and not impossible


class CtcPrefix:
    """One stream, of which T audio tokens were heard and U tokens written.

    A prefix is the first u <= U of those; up to each place it has log-probabilities, summed over alignments, of ending there in its last
    token and of ending there in a blank. The place before the first sound counts.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        assert vocabulary.blank is not None
        self._vocabulary, self._blank = vocabulary, vocabulary.blank
        self.restart()

    def restart(self) -> None:
        """Nothing was heard, and nothing written."""
        head = self._vocabulary.head
        self._heard = head.new_zeros(0, head.shape[1])  # [T, D]
        self._norm = head.new_zeros(0, dtype=torch.float64)  # [T] log sum exp of a place's scores
        self._written: list[int] = []
        self._blanks: Logs = np.zeros(0)  # [T] log p(blank)
        # Of all that was written, up to every place, [T + 1]: the next token may follow at any. Of every prefix, up to the last place,
        # [U + 1]: more sound goes on from there.
        self._in_token, self._in_blank = np.full(1, -np.inf), np.zeros(1)
        self._last_in_token, self._last_in_blank = np.full(1, -np.inf), np.zeros(1)

    @torch.inference_mode()
    @np.errstate(invalid="ignore")  # of sound that is no number, whose session ends at its next decision (engine/runner.py)
    def hear(self, heard: torch.Tensor) -> None:
        """[k, D] more, as the encoder gives them."""
        scores = self._vocabulary.scores(heard).double()  # [k, V]
        norm = scores.logsumexp(-1)
        self._heard, self._norm = torch.cat((self._heard, heard)), torch.cat((self._norm, norm))
        log_p: Logs = (scores[:, [*self._written, self._blank]] - norm[:, None]).cpu().numpy()  # [k, U + 1]
        again = np.array([a == b for a, b in zip(self._written, self._written[1:], strict=False)], dtype=bool)  # [U - 1]
        complete = []
        for tokens, blank in zip(log_p[:, :-1], log_p[:, -1], strict=True):
            either = np.logaddexp(self._last_in_token, self._last_in_blank)
            before = either[:-1].copy()  # [U] behind its like a token comes after a blank only
            before[1:][again] = self._last_in_blank[1:-1][again]
            self._last_in_token = np.append(-np.inf, np.logaddexp(self._last_in_token[1:], before) + tokens)
            self._last_in_blank = either + blank
            complete.append((self._last_in_token[-1], self._last_in_blank[-1]))
        in_token, in_blank = np.array(complete).reshape(-1, 2).T
        self._in_token, self._in_blank = np.append(self._in_token, in_token), np.append(self._in_blank, in_blank)
        self._blanks = np.append(self._blanks, log_p[:, -1])

    @torch.inference_mode()
    def write(self, token: int) -> None:
        """One token more is written."""
        in_token = _through(self._complete(token), self._log_p([token])[:, 0])
        self._in_token, self._in_blank = in_token, _through(in_token, self._blanks)
        self._last_in_token = np.append(self._last_in_token, self._in_token[-1])
        self._last_in_blank = np.append(self._last_in_blank, self._in_blank[-1])
        self._written.append(token)

    @torch.inference_mode()
    def next(self, tokens: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """[k] log P(what was heard begins with what was written and this), [] log P(it is what was written). The blank is none of them."""
        complete = self._complete(None)
        before = np.repeat(complete[:-1, None], len(tokens), axis=1)  # [T, k]
        if self._written and self._written[-1] in tokens:
            before[:, tokens.index(self._written[-1])] = self._in_blank[:-1]
        return torch.from_numpy(before + self._log_p(tokens)).logsumexp(0), torch.tensor(complete[-1])

    def weigh(self, logits: torch.Tensor, weight: float, ends: frozenset[int], *, ended: bool) -> torch.Tensor:
        """[V] -> [V] float32 logits: the backbone's log P and CTC's, which has `weight`; -inf for what is no candidate.

        ends: tokens that end the target, the blank among them; ended: whether the source has. Before, an end means that nothing is to be
        written yet, as what was written is all that was heard: CTC alone knows that. Backbones are trained to guess on, so theirs would say
        no whatever was heard. Where what was written cannot be what was heard, the backbone has the word.
        """
        own = logits.float().log_softmax(-1)
        best = [token for token in own.topk(min(CANDIDATES, len(own))).indices.tolist() if token not in ends]
        begins, all_of_it = self.next(best)
        most = torch.maximum(begins.max(), all_of_it)
        if most == -torch.inf:
            return logits.float()
        chosen, end = torch.tensor(best), torch.tensor(list(ends) if ended else [self._blank])
        more, no_more = ((part - most).clamp_min(LEAST).float().to(own.device) for part in (begins, all_of_it))
        content = (1 - weight) * own[chosen] + weight * more
        made = torch.full_like(own, -torch.inf)
        if ended:
            made[end] = (1 - weight) * own[end] + weight * no_more
        else:
            made[end] = no_more
            content = content.log_softmax(-1) + more.logsumexp(-1)
        made[chosen] = content
        return made

    def _log_p(self, tokens: list[int]) -> Logs:
        """[T, k] of tokens at every place."""
        made: Logs = (self._vocabulary.scores(self._heard, tokens).double() - self._norm[:, None]).cpu().numpy()
        return made

    @np.errstate(invalid="ignore")  # see `hear`
    def _complete(self, token: int | None) -> Logs:
        """[T + 1] what was written ends at each place, so that `token` may follow."""
        if self._written and self._written[-1] == token:
            return self._in_blank
        made: Logs = np.logaddexp(self._in_token, self._in_blank)
        return made


def _through(before: Logs, log_p: Logs) -> Logs:
    """[T + 1], [T] -> [T + 1]: entered behind any place, and kept for every place from there on, each with its log_p."""
    kept = np.append(0.0, log_p.cumsum())
    made: Logs = np.append(-np.inf, np.logaddexp.accumulate(before[:-1] - kept[:-1]) + kept[1:])
    return made
