"""What CTC says of the next token: how probable each one is behind those written, by the sounds heard so far and nothing else.

A backbone finds what to write by what it is, CTC by where it is: weighed together they seldom skip or go round in circles (Watanabe et al.
2017, "Hybrid CTC/attention architecture for end-to-end speech recognition"). Knows one stream and its tokens; no session and no encoder.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from backbones.audio_posteriors import Vocabulary

Logs = NDArray[np.float64]

CANDIDATES = 32  # the backbone's best that are looked at; no other is written
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
        self._heard = torch.zeros(0, self._vocabulary.head.shape[1])  # [T, D]
        self._norm = torch.zeros(0, dtype=torch.float64)  # [T] log sum exp of a place's scores
        self._written: list[int] = []
        self._blanks: Logs = np.zeros(0)  # [T] log p(blank)
        # Of all that was written, up to every place, [T + 1]: the next token may follow at any. Of every prefix, up to the last place,
        # [U + 1]: more sound goes on from there.
        self._in_token, self._in_blank = np.full(1, -np.inf), np.zeros(1)
        self._last_in_token, self._last_in_blank = np.full(1, -np.inf), np.zeros(1)

    @torch.inference_mode()
    def hear(self, heard: torch.Tensor) -> None:
        """[k, D] more, as the encoder gives them."""
        scores = self._vocabulary.scores(heard).double()  # [k, V]
        norm = scores.logsumexp(-1)
        self._heard, self._norm = torch.cat((self._heard.to(heard), heard)), torch.cat((self._norm.to(norm), norm))
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
    def next(self, tokens: list[int]) -> tuple[torch.Tensor, float]:
        """[k] log P(what was heard begins with what was written and this), and log P(it is what was written). The blank is none of them."""
        complete = np.stack([self._complete(token)[:-1] for token in tokens], axis=1)  # [T, k]
        return torch.from_numpy(complete + self._log_p(tokens)).logsumexp(0), float(self._complete(None)[-1])

    def weigh(self, logits: torch.Tensor, weight: float, ends: frozenset[int]) -> torch.Tensor:
        """[V] -> [V] float32: (1 - weight) log P of the backbone + weight log P of CTC; -inf for what is no candidate.

        ends: tokens that end the target, and the blank. That what was written is all that was heard speaks for them: before the source's
        end it says that there is nothing to write yet. Where what was written cannot be what was heard, the backbone has the word.
        """
        own = logits.float().log_softmax(-1)
        best = [token for token in own.topk(min(CANDIDATES, len(own))).indices.tolist() if token not in ends]
        begins, all_of_it = self.next(best)
        heard = torch.cat((begins, begins.new_full((len(ends),), all_of_it)))
        if (most := heard.max()) == -torch.inf:
            return logits.float()
        chosen = torch.tensor([*best, *ends], device=own.device)
        weighed = (1 - weight) * own[chosen] + weight * (heard - most).clamp_min(LEAST).to(own)
        return torch.full_like(own, -torch.inf).index_copy(0, chosen, weighed)

    def _log_p(self, tokens: list[int]) -> Logs:
        """[T, k] of tokens at every place."""
        scores = Vocabulary(self._vocabulary.head[tokens], self._vocabulary.embeddings).scores(self._heard)
        made: Logs = (scores.double() - self._norm[:, None]).cpu().numpy()
        return made

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
