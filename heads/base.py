"""What a decision head is: signals of a probe in, a sufficiency score out; higher means more sufficient.

Knows neither thresholds nor actions: the controller compares. Heads are pure functions, so sessions with different heads share a tick.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import isnan
from typing import Literal, Protocol

import torch

from errors import SignalError

Need = Literal["entropy", "attention", "history"]


@dataclass(frozen=True)
class Signals:
    """What B probes show. A tensor that no head in the tick needs is None.

    phi:       [B]     source units visible to the probe
    written:   [B]     target words begun before the word that the candidate token belongs to
    entropy:   [B]     Shannon entropy of the next-token distribution, nats, float32, temperature 1
    index:     [B]     target tokens written before the candidate token
    log_vocab: float   log of the vocabulary's size, nats: the largest possible entropy
    attention: [B, U]  attention of the probe to each source unit, mean over the checkpoint's (layer, head) pairs; columns from
                       phi on are zero; prompt and first-token sink are not in it, so a row sums to less than 1
    history:   [B, U]  the same, summed over the `index` target tokens written so far
    """

    phi: torch.Tensor
    written: torch.Tensor
    index: torch.Tensor
    log_vocab: float
    entropy: torch.Tensor | None = None
    attention: torch.Tensor | None = None
    history: torch.Tensor | None = None


class DecisionHead(Protocol):
    """One file a head. Implementations are frozen dataclasses: their fields are the parameters a request may set."""

    @property
    def needs(self) -> frozenset[Need]:
        """The signals that `score` reads beyond the counts; nothing else is computed for it."""
        ...

    @property
    def default_threshold(self) -> float:
        """Used where the checkpoint has no tier for the head and the request names no threshold."""
        ...

    def score(self, signals: Signals) -> torch.Tensor:
        """[B] float32."""
        ...


def required(signal: torch.Tensor | None, name: Need) -> torch.Tensor:
    """The signal, or SignalError: a head read what it did not declare in `needs`."""
    if signal is None:
        raise SignalError(f"expected the signal {name!r}, which the head must name in `needs`; got None")
    return signal


def checked_scores(head: DecisionHead, signals: Signals) -> list[float]:
    """The head's scores as floats. Raises SignalError on any failure, a wrong shape, or NaN, which would silently mean READ for ever."""
    try:
        scores = head.score(signals).double()  # of a share such as 7 / 10, which must reach a threshold of 0.7
    except SignalError:
        raise
    except Exception as error:  # a third party's head must not take the engine down with it
        raise SignalError(f"expected scores, got {type(error).__name__} from {head}: {error}") from error
    expected = (signals.phi.shape[0],)
    if tuple(scores.shape) != expected:
        raise SignalError(f"expected scores of shape {expected}, got {tuple(scores.shape)} from {head}")
    values: list[float] = scores.tolist()
    if any(isnan(value) for value in values):
        raise SignalError(f"expected finite scores, got NaN from {head}")
    return values


def union(heads: Iterable[DecisionHead]) -> frozenset[Need]:
    """All signals that some head of a tick needs."""
    return frozenset().union(*(head.needs for head in heads))
