"""The bootstrap: coverage, clusters, pairs, and the same resamples for everything."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import InvalidValueError
from evaluation.bootstrap import Interval, Resamples, counted, paired, ratio
from evaluation.latency import LATENCY, Delays, coverage, mean, ratio_of_means
from evaluation.quality import QUALITY, matrix


def test_95_percent_of_intervals_hold_the_true_mean() -> None:
    generator, resamples = np.random.default_rng(1), Resamples([""] * 80)
    intervals = [resamples.interval(counted(generator.exponential(size=80)), ratio) for _ in range(400)]
    held = np.mean([interval.low <= 1 <= interval.high for interval in intervals])
    assert 0.91 <= held <= 0.975  # a percentile interval of a skewed mean is a little short


def test_clusters_that_agree_widen_the_interval() -> None:
    values = np.repeat(np.random.default_rng(2).normal(size=30), 8)
    keys = [str(item // 8) for item in range(240)]
    clustered, naive = Resamples(keys).interval(counted(values), ratio), Resamples([""] * 240).interval(counted(values), ratio)
    assert clustered.value == naive.value
    assert (clustered.high - clustered.low) / (naive.high - naive.low) == pytest.approx(8**0.5, rel=0.15)


def test_items_of_a_cluster_come_together() -> None:
    resamples = Resamples(["b", "a", "b", "", ""])
    sums = resamples.sums(np.eye(5))
    assert resamples.clusters == 4
    np.testing.assert_array_equal(sums[:, 0], sums[:, 2])
    np.testing.assert_array_equal(sums[:, [0, 1, 3, 4]].sum(axis=1), 4)
    assert (sums[:, 3] != sums[:, 4]).any()


def test_identical_systems_differ_by_exactly_nothing() -> None:
    rows = matrix(QUALITY["bleu"], ["the dog sat down", "a cat ran off now"], [["the dog sat down again"], ["a cat ran off"]])
    assert Resamples(["x", "y"]).difference(rows, rows.copy(), QUALITY["bleu"].score) == Interval(0.0, 0.0, 0.0)


def test_a_pair_sees_what_two_intervals_do_not() -> None:
    generator = np.random.default_rng(3)
    hard = generator.normal(size=100)
    first, second = counted(hard + 0.1), counted(hard + generator.normal(scale=0.1, size=100))
    resamples = Resamples([""] * 100)
    assert resamples.interval(first, ratio).low < resamples.interval(second, ratio).high
    difference = resamples.difference(first, second, ratio)
    assert 0 < difference.low < difference.value < difference.high < 0.2


def test_the_same_seed_gives_the_same_resamples_and_another_does_not() -> None:
    keys = [str(item) for item in range(20)]
    np.testing.assert_array_equal(Resamples(keys, seed=5).weights, Resamples(keys, seed=5).weights)
    assert (Resamples(keys, seed=5).weights != Resamples(keys, seed=6).weights).any()
    assert Resamples(keys).weights.shape == (2000, 20)


@given(st.lists(st.lists(st.integers(0, 9), max_size=4), min_size=2, max_size=8))
def test_both_rcos_of_the_corpus_are_what_the_intervals_are_around(delays: list[list[int]]) -> None:
    items = [Delays(tuple(sorted(one)), 9 + len(one)) for one in delays]
    resamples = Resamples([""] * len(items), count=20)
    ratios = resamples.interval(counted([LATENCY["RCO"](item) for item in items]), ratio).value
    means = resamples.interval(np.array([coverage(item) for item in items]), ratio).value
    if any(delays):
        assert ratios == pytest.approx(mean(LATENCY["RCO"], items))
        assert means == pytest.approx(ratio_of_means(items))
    else:
        assert np.isnan([ratios, means]).all()


def test_an_undefined_item_is_left_out_of_a_mean_and_of_both_sides_of_a_pair() -> None:
    first, second = counted([1.0, None, 3.0]), counted([2.0, 5.0, float("nan")])
    assert ratio(first.sum(axis=0)) == pytest.approx(2)
    assert [float(ratio(side.sum(axis=0))) for side in paired(first, second)] == [1, 2]
    interval = Resamples([""] * 3).interval(first, ratio)  # some resamples hold the second item only
    assert (interval.low, interval.high) == (1, 3)


def test_one_cluster_says_nothing_about_others() -> None:
    interval = Resamples(["a", "a"]).interval(counted([1.0, 2.0]), ratio)
    assert interval.value == pytest.approx(1.5)
    assert np.isnan([interval.low, interval.high]).all()


def test_statistics_of_other_items_are_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"expected statistics of shape \[3, F\]; got \[2, 2\]"):
        Resamples([""] * 3).interval(counted([1.0, 2.0]), ratio)


def test_2000_resamples_of_2000_items_take_well_under_seconds() -> None:
    rows = np.tile(matrix(QUALITY["bleu"], ["the dog sat down"], [["the dog sat down again"]]), (2000, 1))
    started = time.process_time()
    Resamples([""] * 2000).interval(rows, QUALITY["bleu"].score)
    assert time.process_time() - started < 3
