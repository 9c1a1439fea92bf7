"""Latency metrics by hand, by the paper's batch figure, and RCO and AIL against what a session reports."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import trajectory
from evaluation.latency import LATENCY, Delays, coverage, mean, ratio_of_means

NAMES = list(LATENCY)


def by_hand(delays: Delays) -> dict[str, float | None]:
    return {name: metric(delays) for name, metric in LATENCY.items()}


def test_by_hand() -> None:
    # M = 4, L = 4: wait-2 lags by 2 while there is source to wait for.
    found = by_hand(Delays((2, 3, 4, 4), 4, reference_length=2))
    assert found == {
        "RCO": pytest.approx(13 / 16),
        "AIL": pytest.approx((2 + 2 + 2 + 1) / 4),
        "AL": pytest.approx((2 + 1 + 0) / 3),  # a pace of 2, and the first delay at the source's end is the last that counts
        "LAAL": pytest.approx(2),
        "DAL": pytest.approx(2),  # the last unit is held to g' = 5
    }


def test_every_metric_says_its_name_and_unit() -> None:
    assert NAMES == ["RCO", "AIL", "AL", "LAAL", "DAL"]
    for name, metric in LATENCY.items():
        assert metric.name == name
        assert metric.unit == ("share of the source" if name == "RCO" else "as the delays")


@given(m=st.integers(1, 500), n=st.integers(1, 60))
def test_batch_decoding_has_the_papers_ail(m: int, n: int) -> None:
    batch = Delays((m,) * n, m)
    assert LATENCY["AIL"](batch) == pytest.approx(m * (n + 1) / (2 * n))
    assert LATENCY["RCO"](batch) == pytest.approx(1)
    assert LATENCY["AL"](batch) == m


@given(phi=st.lists(st.integers(0, 60), max_size=20).map(sorted), m=st.integers(0, 60))
def test_rco_and_ail_are_what_a_session_reports(phi: list[int], m: int) -> None:
    delays = Delays(tuple(phi), m)
    assert LATENCY["RCO"](delays) == trajectory.rco(phi, m)
    assert LATENCY["AIL"](delays) == trajectory.ail(phi, m)


@given(
    phi=st.lists(st.integers(1, 60), min_size=1, max_size=20).map(sorted),
    m=st.integers(1, 60),
    reference=st.integers(1, 40),
    scale=st.sampled_from([0.25, 40, 1000]),
)
def test_another_unit_of_the_source_only_scales(phi: list[int], m: int, reference: int, scale: float) -> None:
    words, scaled = Delays(tuple(phi), m, reference), Delays(tuple(g * scale for g in phi), m * scale, reference)
    for name, metric in LATENCY.items():
        value = metric(words)
        assert value is not None
        assert metric(scaled) == pytest.approx(value if name == "RCO" else value * scale)


@pytest.mark.parametrize(
    ("delays", "defined"),
    [
        (Delays((), 5, 3), set()),
        (Delays((), 0), set()),
        (Delays((0, 0), 0, 2), set()),
        (Delays((3,), 0, 2), {"AL", "LAAL"}),  # the first delay is beyond the source, as SimulEval has it
        (Delays((1, 2), 3, 0), set(NAMES) - {"AL"}),
        (Delays((1, 2), 3, hypothesis_length=0), {"RCO", "AIL"}),
    ],
)
def test_what_is_not_defined_is_none(delays: Delays, defined: set[str]) -> None:
    assert {name for name, value in by_hand(delays).items() if value is not None} == defined


def test_a_longer_target_than_the_reference_lowers_al_but_not_laal() -> None:
    short, long = Delays((5, 6), 10, 2), Delays((5, 6, 6, 6, 6, 6), 10, 2)
    al, laal = LATENCY["AL"], LATENCY["LAAL"]
    assert al(long) < 0 < al(short)  # type: ignore[operator]
    assert laal(long) > 0  # type: ignore[operator]


def test_a_given_length_of_the_target_sets_the_pace() -> None:
    given_length, counted = Delays((2, 4), 8, hypothesis_length=4), Delays((2, 4), 8)
    assert LATENCY["LAAL"](given_length) == pytest.approx((2 + 4 - 2) / 2)
    assert LATENCY["LAAL"](counted) == pytest.approx((2 + 4 - 4) / 2)
    assert LATENCY["AL"](given_length) == LATENCY["LAAL"](given_length)
    assert LATENCY["DAL"](given_length) == pytest.approx(2)
    assert LATENCY["AIL"](given_length) == LATENCY["AIL"](counted)


def test_mean_of_ratios_and_ratio_of_means_differ_where_lengths_do() -> None:
    items = [Delays((1,), 1), Delays((10, 30), 100), Delays((), 7)]
    assert mean(LATENCY["RCO"], items) == pytest.approx((1 + 0.2) / 2)
    assert ratio_of_means(items) == pytest.approx((1 + 20) / 101)
    assert [coverage(item) for item in items] == [(1, 1), (20, 100), (0, 0)]
    assert mean(LATENCY["RCO"], items[2:]) is None
    assert ratio_of_means(items[2:]) is None
