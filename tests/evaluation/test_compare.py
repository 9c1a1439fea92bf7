"""Quality at equal latency: by hand, and what holds for any curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from errors import UnknownNameError
from evaluation.bootstrap import Interval
from evaluation.compare import Comparison, Curve, areas, at_equal_latency, heads, kept, verdict
from evaluation.table import COVERAGE, Table
from tests.evaluation import made

COORDINATE = st.integers(0, 100).map(lambda n: n / 100)
POINTS = st.lists(st.tuples(COORDINATE, COORDINATE), min_size=1, max_size=6, unique_by=lambda point: point[0])


def curve(*points: tuple[float, float]) -> Curve:
    x, y = zip(*points, strict=True)
    return Curve(np.array([x], dtype=float), np.array([y], dtype=float))


def at(line: Curve, x: float) -> float:
    return float(line.at(np.array([x]))[0])


def mean(line: Curve, low: float, high: float) -> float:
    return float(line.mean(np.array([low]), np.array([high]))[0])


def found(comparisons: list[Comparison], policy: str, against: str) -> Comparison:
    (one,) = [one for one in comparisons if (one.policy, one.against) == (policy, against)]
    return one


@given(POINTS)
def test_a_curve_goes_through_its_points(points: list[tuple[float, float]]) -> None:
    assert [at(curve(*points), x) for x, _ in points] == [y for _, y in points]


@given(POINTS, COORDINATE)
def test_between_points_it_is_what_numpy_says_and_outside_it_is_nothing(points: list[tuple[float, float]], x: float) -> None:
    xs, ys = zip(*sorted(points), strict=True)
    np.testing.assert_allclose(at(curve(*points), x), np.interp(x, xs, ys, left=np.nan, right=np.nan), atol=1e-12)


def test_each_resample_has_its_own_bracket() -> None:
    line = Curve(np.array([[0.2, 0.4, 0.8], [0.2, 0.6, 0.8]]), np.array([[0.0, 10.0, 30.0], [0.0, 40.0, 50.0]]))
    assert line.at(np.array([0.5, 0.5])).tolist() == pytest.approx([15, 30])


def test_a_policy_without_latency_is_no_point() -> None:
    assert at(curve((0.2, 1.0), (np.nan, 50.0), (0.4, 3.0)), 0.3) == pytest.approx(2)


def test_area_by_hand_over_its_width() -> None:
    line = curve((0.0, 0.0), (0.5, 10.0), (1.0, 10.0))
    assert mean(line, 0.0, 1.0) == pytest.approx(0.5 * 5 + 0.5 * 10)
    assert mean(line, 0.25, 0.75) == pytest.approx((0.25 * 7.5 + 0.25 * 10) / 0.5)
    assert np.isnan(mean(line, 0.5, 0.5))
    assert np.isnan(mean(line, 0.5, 1.1))


@given(POINTS.filter(lambda points: len(points) > 1))
def test_a_mean_lies_between_the_least_and_the_greatest(points: list[tuple[float, float]]) -> None:
    (low, _), (high, _) = min(points), max(points)
    ys = [y for _, y in points]
    assert min(ys) - 1e-9 <= mean(curve(*points), low, high) <= max(ys) + 1e-9


def test_verdicts_are_what_the_interval_carries() -> None:
    assert verdict(Interval(2.0, 0.5, 3.0)) == "better"
    assert verdict(Interval(-2.0, -3.0, -0.5)) == "worse"
    assert verdict(Interval(2.0, 0.5, 3.0), higher_is_better=False) == "worse"
    assert verdict(Interval(2.0, 0.0, 3.0)) == "not shown"
    assert verdict(Interval(2.0, float("nan"), float("nan"))) == "not shown"


def test_a_head_against_a_baseline_at_its_coverage_by_hand() -> None:
    """The head at 0.55 has 9 of 12; wait-5 and wait-9 have 3 and 7, so 3.5 there: 45.8 points more."""
    one = found(at_equal_latency(Table(made.sweep(), ["exact_match"]), "exact_match"), "entropy@0.60", "wait_k")
    assert one.latency.value == pytest.approx(0.55)
    assert one.difference.value == pytest.approx(100 * (9 - 3.5) / 12)
    assert 0 < one.difference.low < one.difference.value < one.difference.high
    assert one.verdict == "better"


def test_the_interval_is_that_of_curves_that_are_made_anew_in_every_resample() -> None:
    """Against resamples that are drawn and scored one by one."""
    table = Table(made.sweep(), ["exact_match"], count=200)
    ours, theirs = [], {}
    for label in ("entropy@0.60", "wait_k@2", "wait_k@5", "wait_k@9", "full@0"):
        records = [record for record in table.records(label) if record is not None]
        right = np.array([record.target == "a b" for record in records])
        share = np.array([np.mean(record.delays) / record.source_length for record in records])
        theirs[label] = [(share @ weights / 12, 100 * (right @ weights) / 12) for weights in table.resamples.weights]
    ours = theirs.pop("entropy@0.60")
    differences = [y - np.interp(x, *zip(*sorted(points), strict=True)) for (x, y), *points in zip(ours, *theirs.values(), strict=True)]
    one = found(at_equal_latency(table, "exact_match"), "entropy@0.60", "wait_k")
    assert (one.difference.low, one.difference.high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])))


def test_the_full_view_is_the_last_point_of_every_baseline() -> None:
    records = [*made.sweep(), *(made.record("entropy@0.95", item, [9, 10], right=True) for item in range(12))]
    one = found(at_equal_latency(Table(records, ["exact_match"]), "exact_match"), "entropy@0.95", "wait_k")
    assert one.difference.value == pytest.approx(100 * (12 - (7 + 10) / 2) / 12)


def test_below_the_first_point_nothing_is_compared() -> None:
    records = [*made.sweep(), *(made.record("entropy@0.1", item, [1, 1]) for item in range(12))]
    one = found(at_equal_latency(Table(records, ["exact_match"]), "exact_match"), "entropy@0.1", "wait_k")
    assert np.isnan([one.difference.value, one.difference.low, one.difference.high]).all()
    assert one.verdict == "not shown"


def test_where_many_resamples_lie_outside_there_is_no_interval() -> None:
    """Coverage of both is about 0.2, and in half of the resamples the head's is below the baseline's least."""
    records = [*made.sweep(), *(made.record("entropy@0.1", item, [1 + 2 * (item % 2)] * 2) for item in range(12))]
    one = found(at_equal_latency(Table(records, ["exact_match"]), "exact_match"), "entropy@0.1", "wait_k")
    assert not np.isnan(one.difference.value)
    assert np.isnan([one.difference.low, one.difference.high]).all()
    assert one.verdict == "not shown"


def test_a_policy_is_no_better_than_itself() -> None:
    records = made.sweep()
    twin = [
        record.model_copy(update={"policy": f"entropy@0.{k}", "curve": "entropy"})
        for k in (2, 5, 9)
        for record in records
        if record.policy == f"wait_k@{k}"
    ]
    table = Table([record for record in records if record.curve != "entropy"] + twin, ["exact_match"])
    nothing = Interval(0.0, 0.0, 0.0)
    against_itself = [one for one in at_equal_latency(table, "exact_match") if one.against == "wait_k"]
    assert [one.difference for one in against_itself] == [nothing] * 3
    (area,) = [one for one in areas(table, "exact_match") if one.against == "wait_k"]
    assert area.difference == nothing
    assert area.verdict == "not shown"


@pytest.mark.parametrize(("metric", "best"), [("exact_match", 100 * 10 / 12), ("wer", 100 * 2 / 12)])
def test_of_two_points_at_one_latency_the_better_counts(metric: str, best: float) -> None:
    """wait-12 waits for the end of sources of ten words, as the full view does, and is the worse here."""
    records = [*made.sweep(), *(made.record("wait_k@12", item, [10, 10], right=False) for item in range(12))]
    line = Curve.of(Table(records, [metric]), ["wait_k@5", "wait_k@12", "full@0"], metric)
    assert line.at(np.ones(len(line.latency)))[0] == pytest.approx(best)


def test_a_matched_policy_is_compared_item_by_item() -> None:
    records = [*made.sweep(), *(made.record("random@0.5", item, [6, 6], right=item % 2 == 0) for item in range(12))]
    table = Table(records, ["exact_match"])
    one = found(at_equal_latency(table, "exact_match", matched={"entropy@0.60": "random@0.5"}), "entropy@0.60", "random@0.5")
    assert one.matched
    assert one.gap.value == pytest.approx(0.55 - 0.6)
    assert one.difference.value == pytest.approx(100 * (9 - 6) / 12)
    with pytest.raises(UnknownNameError, match=r"random@0\.7"):
        at_equal_latency(table, "exact_match", matched={"entropy@0.60": "random@0.7"})


def test_less_is_better_for_word_error_rate() -> None:
    comparisons = at_equal_latency(Table(made.sweep(), ["wer"]), "wer")
    one = found(comparisons, "entropy@0.60", "wait_k")
    assert one.difference.value < 0
    assert one.verdict == "better"


def test_area_is_over_the_latencies_that_both_curves_have() -> None:
    """The head spans 0.35 to 0.75; in between wait-k goes from 2 of 12 at 0.35 over 3 at 0.5 to 5.5 at 0.75."""
    (one,) = [one for one in areas(Table(made.sweep(), ["exact_match"]), "exact_match") if one.against == "wait_k"]
    assert (one.low, one.high) == (pytest.approx(0.35), pytest.approx(0.75))
    head = (0.2 * (6 + 9) / 2 + 0.2 * (9 + 11) / 2) / 0.4
    baseline = (0.15 * (2 + 3) / 2 + 0.25 * (3 + 5.5) / 2) / 0.4
    assert one.quality.value == pytest.approx(100 * head / 12)
    assert one.difference.value == pytest.approx(100 * (head - baseline) / 12)
    assert one.verdict == "better"


def test_another_latency_may_be_compared_at() -> None:
    table = Table(made.sweep(), ["exact_match"])
    lag = found(at_equal_latency(table, "exact_match", ("words", "AIL")), "entropy@0.60", "wait_k")
    assert lag.latency.value == pytest.approx(5.5 - 2.5)
    assert heads(table) == ["entropy@0.40", "entropy@0.60", "entropy@0.80"]
    assert COVERAGE == ("words", "RCO")


def test_the_share_of_the_full_views_quality_that_is_kept() -> None:
    table = Table(made.sweep(), ["exact_match", "wer"])
    share = kept(table, "entropy@0.60", "exact_match")
    assert share is not None
    assert share.value == pytest.approx(100 * 9 / 10)
    assert share.low < share.value < share.high
    assert kept(table, "entropy@0.60", "wer") is None
    assert (
        kept(Table([record for record in made.sweep() if record.curve == "entropy"], ["exact_match"]), "entropy@0.60", "exact_match")
        is None
    )
    assert kept(table, "full@0", "exact_match") == Interval(100.0, 100.0, 100.0)
