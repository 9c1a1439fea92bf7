"""RCO and AIL by their formulas, and against the paper's own figure for batch decoding."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.trajectory import ail, rco


def test_by_hand() -> None:
    assert rco([2, 4], 4) == pytest.approx(0.75)
    assert ail([2, 4], 4) == pytest.approx((2 - 0 + 4 - 2) / 2)


@given(m=st.integers(1, 500), n=st.integers(1, 60))
def test_batch_decoding_covers_everything_and_lags_by_the_known_amount(m: int, n: int) -> None:
    assert rco([m] * n, m) == pytest.approx(1.0)
    assert ail([m] * n, m) == pytest.approx(m * (n + 1) / (2 * n))


@given(st.lists(st.integers(0, 30), min_size=1, max_size=20), st.integers(30, 60))
def test_rco_is_a_share(phi: list[int], m: int) -> None:
    value = rco(sorted(phi), m)
    assert value is not None
    assert 0 <= value <= 1


@pytest.mark.parametrize(("phi", "m"), [([], 5), ([1, 2], 0), ([], 0)])
def test_empty_source_or_target_has_neither(phi: list[int], m: int) -> None:
    assert rco(phi, m) is None
    assert ail(phi, m) is None
