"""Read budgets: monotone, bounded, reproducible, and as wide as the scheme promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from training.budget import Budget, draw

SCHEMES = ("paper", "uniform", "polynomial", "dirichlet")
M, P = 100, 20


def many(budget: Budget, count: int = 2000, units: int = M, predictions: int = P) -> np.ndarray:
    """[count, predictions]"""
    rng = np.random.default_rng(0)
    return np.stack([draw(budget, units, predictions, rng) for _ in range(count)])


@settings(max_examples=200, deadline=None)
@given(
    scheme=st.sampled_from(SCHEMES),
    units=st.integers(1, 300),
    predictions=st.integers(1, 60),
    gamma=st.floats(-3, 3),
    tail=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_phi_never_falls_and_never_exceeds_the_source(
    scheme: str, units: int, predictions: int, gamma: float, tail: float, seed: int
) -> None:
    budget = Budget.model_validate({"scheme": scheme, "gamma": gamma, "tail": tail})
    phi = draw(budget, units, predictions, np.random.default_rng(seed))
    assert phi.shape == (predictions,)
    assert phi.min() >= 0
    assert phi.max() <= units
    assert (np.diff(phi) >= 0).all()
    assert (phi == draw(budget, units, predictions, np.random.default_rng(seed))).all()
    if scheme == "paper" or tail == 0:
        assert phi[-1] == units


def test_the_papers_multinomial_hugs_the_diagonal() -> None:
    phi = many(Budget(scheme="paper")) / M
    assert phi.mean(axis=0) == pytest.approx(np.arange(1, P + 1) / P, abs=0.01)
    assert (phi.std(axis=0) <= 0.5 / np.sqrt(M) + 0.005).all()


def test_dirichlet_covers_early_and_late_at_every_prediction_but_the_last() -> None:
    phi = many(Budget(scheme="dirichlet", tail=0)) / M
    paper = many(Budget(scheme="paper")) / M
    middle = slice(P // 4, 3 * P // 4)
    assert (phi.std(axis=0)[middle] > 4 * paper.std(axis=0)[middle]).all()
    low, high = np.quantile(phi[:, P // 2], [0.1, 0.9])
    assert low < 0.4
    assert high > 0.9


def test_the_unread_tail_leaves_a_part_of_the_source_unseen_as_often_as_asked() -> None:
    for scheme in ("uniform", "polynomial", "dirichlet"):
        unread = many(Budget.model_validate({"scheme": scheme, "tail": 0.4}))[:, -1] < M
        assert unread.mean() == pytest.approx(0.4, abs=0.05), scheme


def test_a_one_token_answer_is_trained_on_a_partial_source() -> None:
    ends = many(Budget(), units=M, predictions=2)
    assert ((ends[:, 0] > 0.2 * M) & (ends[:, 0] < 0.8 * M)).mean() > 0.3


def test_gamma_moves_the_reading_to_the_end_or_to_the_beginning() -> None:
    late = many(Budget(scheme="polynomial", gamma=2, tail=0))[:, P // 2].mean()
    early = many(Budget(scheme="polynomial", gamma=-1, tail=0))[:, P // 2].mean()
    even = many(Budget(scheme="uniform", tail=0))[:, P // 2].mean()
    assert late < 0.5 * even < even < 0.95 * early
    weights = np.arange(1.0, P + 1) ** 2
    assert late / M == pytest.approx(weights[: P // 2 + 1].sum() / weights.sum(), abs=0.01)


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"tail": 1.5}, {"concentration": (0.0, 1.0)}, {"scheme": "normal"}):
        with pytest.raises(ValidationError):
            Budget.model_validate(wrong)
