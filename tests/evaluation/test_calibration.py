"""Thresholds for latencies: on a known curve the right one is found, in few runs; targets are read as they are written."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import InvalidValueError
from evaluation.calibration import CLOSE, FIRST, MOST, Target, calibrate, invert, latency, parse_targets, quantiles
from evaluation.record import Record

M = 1000


def record(share: float) -> Record:
    """One target token written after a share of M words."""
    read = round(share * M)
    return Record(
        policy="p",
        curve="p",
        threshold=0.0,
        id="i",
        cluster="",
        source="",
        references=("a b c d",),
        target="x",
        reason="end",
        source_length=M,
        read=read,
        delays=(read,),
        word_delays=(read,),
        decisions=(),
    )


def test_latency_is_the_papers_for_rco_and_ail_and_simulevals_for_laal() -> None:
    assert latency([record(0.5), record(0.7)], "rco") == pytest.approx(0.6)
    assert latency([record(0.5)], "ail") == pytest.approx(500)
    assert latency([record(0.5)], "laal") == pytest.approx(500)
    with pytest.raises(InvalidValueError, match="RCO"):
        latency([record(0.5).model_copy(update={"delays": ()})], "rco")


@settings(deadline=None, max_examples=40)
@given(power=st.floats(0.6, 2), low=st.floats(0.1, 0.4), targets=st.lists(st.floats(0.45, 0.95), min_size=1, max_size=3, unique=True))
def test_a_smooth_curve_is_met_closely_in_few_runs(power: float, low: float, targets: list[float]) -> None:
    runs: list[float] = []

    def measure(thresholds: Sequence[float]) -> dict[float, list[Record]]:
        runs.extend(thresholds)
        return {threshold: [record(low + (1 - low) * threshold**power)] for threshold in thresholds}

    first = [i / (FIRST - 1) for i in range(FIRST)]
    found = calibrate(measure, first, [Target(str(i), "rco", value) for i, value in enumerate(targets)])
    assert len(runs) == len(set(runs)) <= MOST
    for one in found:
        assert one.achieved == pytest.approx(low + (1 - low) * one.threshold**power, abs=1e-3)
        assert abs(one.achieved - one.target.value) <= max(CLOSE["rco"], 0.03)


def test_a_step_is_met_as_nearly_as_it_can_be_and_the_truth_is_told() -> None:
    targets = [Target("low", "rco", 0.6), Target("high", "rco", 1.0)]
    found = calibrate(lambda thresholds: {t: [record(0.4 if t < 0.5 else 0.9)] for t in thresholds}, [0.1, 0.3, 0.7], targets)
    assert [one.achieved for one in found] == pytest.approx([0.4, 0.9])


def test_noise_that_is_not_monotone_is_fitted_before_it_is_inverted() -> None:
    runs = {0.1: [record(0.5)], 0.2: [record(0.7)], 0.3: [record(0.6)], 0.4: [record(0.9)]}
    assert invert(runs, Target("t", "rco", 0.65)) == pytest.approx(0.25)
    assert invert(runs, Target("t", "rco", 0.1)) == pytest.approx(0.1)
    assert invert(runs, Target("t", "rco", 1.0)) == pytest.approx(0.4)


def test_a_lag_is_of_the_words_that_were_recognised() -> None:
    said = {"references": ("one two",), "word_ends": (400, 800)}
    heard = record(0.5).model_copy(update={**said, "target": "one too", "word_writes": (700, 900)})
    late = heard.model_copy(update={"target": "one two", "word_writes": (900, 1500)})
    unknown = heard.model_copy(update={"target": "a b"})
    assert latency([heard, late, unknown], "lag") == (300 + (500 + 700) / 2) / 2
    assert invert({0.1: [unknown], 0.2: [heard], 0.4: [late]}, Target("t", "lag", 450)) == pytest.approx(0.3)
    lucky = [heard.model_copy(update={"word_writes": (850, 900)}), *[unknown] * 9]
    assert invert({0.1: lucky, 0.2: [heard] * 10, 0.4: [late] * 10}, Target("t", "lag", 450)) == pytest.approx(0.3)
    with pytest.raises(InvalidValueError, match="expected items with word_ends"):
        latency([record(0.5)], "lag")


def test_targets_are_named_in_ascending_order() -> None:
    assert parse_targets(["rco=0.9", "rco=0.6"]) == [Target("low", "rco", 0.6), Target("high", "rco", 0.9)]
    assert parse_targets(["lag=800"]) == [Target("medium", "lag", 800.0)]
    assert parse_targets(["ail=3"]) == [Target("medium", "ail", 3.0)]
    assert parse_targets(["fast:ail=-1.5", "slow:laal=4"]) == [Target("fast", "ail", -1.5), Target("slow", "laal", 4.0)]


@pytest.mark.parametrize(
    "given_targets", [["rco"], ["bleu=3"], ["rco=x"], ["rco=0.5", "ail=3"], ["rco=0.1"] * 4, ["a:rco=0.1", "a:rco=0.2"]]
)
def test_bad_targets_are_refused(given_targets: list[str]) -> None:
    with pytest.raises(InvalidValueError, match="expected"):
        parse_targets(given_targets)


def test_quantiles_reach_from_the_least_to_the_greatest() -> None:
    assert quantiles([1.0, 0.0], 5) == pytest.approx([0.0, 0.25, 0.5, 0.75, 1.0])
    assert quantiles([1.0, 0.0], 1) == [0.5]
    assert quantiles([0.5] * 9, 4) == [0.5]
    with pytest.raises(InvalidValueError, match="got none"):
        quantiles([])
