"""The area under the ROC curve against scikit-learn's, also within resamples."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from evaluation import auc
from evaluation.bootstrap import Resamples


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_equals_scikit_learns_with_ties_and_weights(seed: int) -> None:
    random = np.random.default_rng(seed)
    clusters = np.sort(random.integers(0, 6, 60))
    clusters = np.unique(clusters, return_inverse=True)[1]
    scores, labels = random.integers(0, 8, 60) / 8, random.random(60) < 0.5
    labels[:2] = True, False
    weights = random.integers(0, 3, (1, clusters.max() + 1)).astype(float)
    found = auc.pairs(scores, labels, clusters)
    assert auc.plain_area(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    each = weights[0][clusters]
    if each[labels].sum() and each[~labels].sum():
        assert auc.area(found, weights)[0] == pytest.approx(roc_auc_score(labels, scores, sample_weight=each))
    else:
        assert np.isnan(auc.area(found, weights)[0])


def test_a_predictor_against_itself_differs_by_nothing_and_against_noise_by_something() -> None:
    random = np.random.default_rng(0)
    clusters = np.repeat(np.arange(40), 10)
    labels = random.random(400) < 0.5
    good, noise = labels + random.normal(0, 1, 400), random.normal(0, 1, 400)
    resamples = Resamples([str(c) for c in range(40)])
    found = auc.pairs(good, labels, clusters)
    same = auc.difference(found, found, resamples)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    better = auc.difference(found, auc.pairs(noise, labels, clusters), resamples)
    assert 0 < better.low < better.value < better.high
    alone = auc.interval(found, resamples)
    assert alone.value == pytest.approx(roc_auc_score(labels, good))
    assert alone.low < alone.value < alone.high


def test_without_a_negative_there_is_no_area() -> None:
    found = auc.pairs(np.array([1.0, 2.0]), np.array([True, True]), np.array([0, 1]))
    assert np.isnan(auc.interval(found, Resamples(["a", "b"])).value)
