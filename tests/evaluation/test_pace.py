"""Latency by the clock, computed by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation import pace
from evaluation.bootstrap import Resamples
from evaluation.latency import LATENCY
from evaluation.record import Clock
from tests.evaluation import made

CLOCK = Clock(sent=(0.5, 1.0, 1.5, 2.0), writes=(1.3, 2.1, 2.2))
PACED = made.record("entropy@0.5", 0, [2, 4, 4], length=4, clock=CLOCK)


def test_the_first_write_is_timed_from_the_first_word_sent() -> None:
    assert pace.first_write(PACED) == [pytest.approx(800)]
    assert pace.first_write(made.record("full@0", 0, [1])) == []
    silent = Clock(sent=(0.0,), writes=())
    assert pace.first_write(made.record("full@0", 0, [], target="", clock=silent)) == []


def test_a_token_lags_behind_the_last_word_that_it_saw() -> None:
    assert pace.lags(PACED) == pytest.approx([300, 100, 200])


def test_a_token_that_saw_nothing_has_no_lag() -> None:
    assert pace.lags(PACED.model_copy(update={"delays": (0, 4, 4)})) == pytest.approx([100, 200])
    assert pace.lags(made.record("full@0", 0, [1])) == []


def test_units_of_an_unsegmented_script_come_with_their_piece() -> None:
    """Three pieces of 1, 3 and 1 units: phi 2 and 4 are both of the second piece."""
    clock = Clock(sent=(0.0, 1.0, 2.0), writes=(1.5, 1.75, 2.5))
    paced = made.record("full@0", 0, [2, 4, 5], clock=clock).model_copy(update={"source": "one 世界人 two", "source_length": 5})
    assert pace.lags(paced) == pytest.approx([500, 750, 500])


def test_delays_in_ms_are_when_tokens_came_and_the_source_lasts_as_long_as_its_pace_takes() -> None:
    delays = pace.delays(PACED, 2.0)
    assert delays.delays == pytest.approx((1300, 2100, 2200))
    assert delays.source_length == 2000
    assert LATENCY["AIL"](delays) == pytest.approx((1300 + (2100 - 2000 / 3) + (2200 - 4000 / 3)) / 3)


def test_quantiles_are_of_all_values_and_of_each_resample_of_the_clusters() -> None:
    values = [[1.0, 5.0], [2.0], [], [9.0]]
    resamples = Resamples(["a", "a", "b", "c"], count=50)
    found = pace.quantiles(values, [0, 0, 1, 2], resamples)
    assert found[:, 0].tolist() == [2.0, 9.0]
    for row, (a, _, c) in enumerate(resamples.weights, start=1):
        drawn = np.sort([1.0, 5.0, 2.0] * a + [9.0] * c)
        right = [drawn[int(np.ceil(share * len(drawn) - 1e-9)) - 1] if len(drawn) else np.nan for share in (0.5, 0.95)]
        np.testing.assert_array_equal(found[:, row], right)


@given(st.lists(st.lists(st.floats(0, 1e4), max_size=4), min_size=1, max_size=6))
def test_at_least_the_share_of_the_values_lies_at_or_below_a_quantile_and_less_lies_below_it(values: list[list[float]]) -> None:
    found = pace.quantiles(values, range(len(values)), Resamples([""] * len(values), count=3))[:, 0]
    flat = np.array([value for some in values for value in some])
    for share, value in zip(pace.SHARES, found, strict=True):
        if not flat.size:
            assert np.isnan(value)
        else:
            assert (flat < value).mean() < share <= (flat <= value).mean() + 1e-9
