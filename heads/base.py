"""What a decision head is: signals of a probe in, a sufficiency score out; higher means more sufficient.

Knows neither thresholds nor actions: the controller compares. Heads are pure functions, so sessions with different heads share a tick.
"""

from dataclasses import dataclass
from math import isfinite, isnan
from typing import Literal, Protocol, get_args

import torch

from errors import HeadError, SignalError, cut

Need = Literal["entropy", "attention", "history"]
MAX_COUNT = 10**9  # of a parameter that counts words: signals are int64, and a product of two such numbers still is


@dataclass(frozen=True)
class Signals:
    """What B probes show. A tensor that no head in the tick needs is None. All is of what the slot holds: since the last seam.

    phi:       [B]     source units visible to the probe: words, or audio tokens of 40 ms
    written:   [B]     target words begun before the word that the candidate token belongs to
    entropy:   [B]     Shannon entropy of the next-token distribution, nats, float32, temperature 1
    index:     [B]     target tokens written before the candidate token
    log_vocab: float   log of the vocabulary's size, nats: the largest possible entropy
    attention: [B, U]  attention of the probe to each source unit, mean over the checkpoint's (layer, head) pairs; columns from
                       phi on are zero; prompt and first-token sink are not in it, so a row sums to less than 1
    history:   [B, U]  the same, summed over the `index` target tokens written so far
    steps:     [B]     of a source that is heard, its decision points so far; None for text
    """

    phi: torch.Tensor
    written: torch.Tensor
    index: torch.Tensor
    log_vocab: float
    entropy: torch.Tensor | None = None
    attention: torch.Tensor | None = None
    history: torch.Tensor | None = None
    steps: torch.Tensor | None = None

    @property
    def read(self) -> torch.Tensor:
        """[B]: what baselines count of the source: its words, or decision points (`decision_ms` each) where it is heard."""
        return self.phi if self.steps is None else self.steps


class DecisionHead(Protocol):
    """One file a head. Implementations are frozen dataclasses: their fields are the parameters a request may set.

    Heads that are equal share a call, so they must be hashable. `needs` is asked for when a session starts, and never again.
    """

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
        raise SignalError(f"expected scores from {_name(head)}, got {told(error)}") from error
    expected = (signals.phi.shape[0],)
    if tuple(scores.shape) != expected:
        raise SignalError(f"expected scores of shape {expected}, got {tuple(scores.shape)} from {_name(head)}")
    values: list[float] = scores.tolist()
    if any(isnan(value) for value in values):
        raise SignalError(f"expected finite scores, got NaN from {_name(head)}")
    return values


def checked_needs(head: DecisionHead) -> frozenset[Need]:
    """The head's needs, and the attention that a history is made of. Raises HeadError for a head that does not keep to the protocol."""
    try:
        needs = set(head.needs)
        unknown = sorted(map(str, needs.difference(get_args(Need))))
        hash(head)
        sound = callable(head.score) and isfinite(head.default_threshold)
    except Exception as error:
        raise HeadError(
            f"expected a hashable head with needs, default_threshold and score; got {told(error)} from {_name(head)}"
        ) from error
    if unknown:
        raise HeadError(f"expected needs of: {', '.join(get_args(Need))}; got {cut(', '.join(unknown))} from {_name(head)}")
    if not sound:
        raise HeadError(f"expected score to be a method and default_threshold a finite number, got others from {_name(head)}")
    return frozenset(needs | {"attention"} if "history" in needs else needs)


def told(error: Exception) -> str:
    """A third party's exception, cut."""
    try:
        return cut(f"{type(error).__name__}: {error}")
    except Exception:
        return type(error).__name__


def _name(head: DecisionHead) -> str:
    """Not its repr, which is a third party's code too, and holds what a client wrote."""
    return type(head).__name__
