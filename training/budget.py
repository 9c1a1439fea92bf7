"""Read budgets: how many units of the source each prediction of a stream view may see. Pure, seeded by the generator that is given.

Knows counts only: what a unit's tokens are, and which trajectories a server can take, is encoding's.
"""

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

Counts = NDArray[np.int64]
Weights = NDArray[np.float64]
Scheme = Literal["paper", "uniform", "polynomial", "dirichlet"]


class Budget(BaseModel):
    """How phi is drawn.

    scheme:        `paper`: equal weights and nothing unread, which is the paper's multinomial; `uniform`; `polynomial`; `dirichlet`
    gamma:         of `polynomial`, w_t ~ (t + 1)^gamma: above 0 most is read late, below 0 early
    concentration: of `dirichlet`: the sum of the concentrations of all bins but the first and the unread one, which have 1 each. Drawn anew
                   for every trajectory, uniformly on a log scale between these two: small means few large reads, large a steady pace
    tail:          the share of trajectories that have a bin for what is never read; without it every last prediction sees all
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    scheme: Scheme = "dirichlet"
    gamma: float = 1.0
    concentration: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = (0.3, 10.0)
    tail: float = Field(default=0.5, ge=0, le=1)


def draw(budget: Budget, units: int, predictions: int, rng: np.random.Generator) -> Counts:
    """[predictions]: phi(t) = Delta_0 + … + Delta_t with Delta ~ Multinomial(units, w) (ProactiveLLM, MSLM); at most `units`.

    units: M + 1, the last of them `source_end`; predictions: L + 1, the last of them the end token.
    """
    tail = budget.scheme != "paper" and rng.random() < budget.tail
    delta = rng.multinomial(units, _weights(budget, predictions, rng, tail=tail))
    return delta[:predictions].cumsum()


def _weights(budget: Budget, predictions: int, rng: np.random.Generator, *, tail: bool) -> Weights:
    """[predictions], and one more where there is a tail; they sum to 1."""
    if budget.scheme == "dirichlet":
        return _dirichlet(budget, predictions, rng, tail=tail)
    # The unread bin has the weight that one more prediction would have.
    steps = np.arange(1.0, predictions + tail + 1)
    weights = steps**budget.gamma if budget.scheme == "polynomial" else np.ones_like(steps)
    normal: Weights = weights / weights.sum()
    return normal


def _dirichlet(budget: Budget, predictions: int, rng: np.random.Generator, *, tail: bool) -> Weights:
    low, high = budget.concentration
    total = low * (high / low) ** rng.random()
    # How much is read before the first write, and how much is never read, are what an answer's trajectory consists of: each has a bin
    # of concentration 1, or the weight of one among many would be next to nothing.
    inner = np.full(predictions - 1, total / max(predictions - 1, 1))
    drawn: Weights = rng.dirichlet(np.concatenate([[1.0], inner, [1.0] * tail]))
    return drawn
