"""The summary's numbers by hand, on the items that policies share, and what it says of the rest."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from errors import InvalidValueError, UnknownNameError
from evaluation.bootstrap import Interval, Resamples, counted, ratio
from evaluation.record import Clock, Record
from evaluation.summary import PolicySummary, Signal, SignalSummary, Summary, TierTarget, summarise
from evaluation.table import Table, interval
from tests.evaluation import made

NOTHING = Interval(0.0, 0.0, 0.0)


def summary(records: list[Record], *metrics: str, **options: object) -> Summary:
    return summarise(made.RUN, records, metrics or ("exact_match",), date="2026-01-02", resamples=100, **options)  # type: ignore[arg-type]


def policy(found: Summary, label: str) -> PolicySummary:
    (one,) = [one for one in found.policies if one.label == label]
    return one


def values(found: Summary, label: str, group: str) -> dict[str, float]:
    return {name: figure.value for name, figure in policy(found, label).figures[group].items()}


def two() -> list[Record]:
    """One policy on two items: delays 1, 3 of 4 words, and 6 of 8 words."""
    first = made.record("entropy@0.5", 0, [1, 3], length=4).model_copy(update={"token_delays": (2, 5), "source_tokens": 8})
    second = made.record("entropy@0.5", 1, [6], length=8, target="c").model_copy(update={"token_delays": (10,), "source_tokens": 20})
    return [first, second]


def test_latencies_in_words_by_hand() -> None:
    found = values(summary(two()), "entropy@0.5", "words")
    assert found["RCO"] == pytest.approx((2 / 4 + 6 / 8) / 2)
    assert found["RCO_of_means"] == pytest.approx((2 + 6) / (4 + 8))
    assert found["AIL"] == pytest.approx(((1 + 3 - 2) / 2 + 6) / 2)
    assert found["AL"] == found["LAAL"] == found["AIL"]  # nothing is cut off, and no reference is counted in tokens
    assert found["DAL"] == pytest.approx(((1 + 3 - 2) / 2 + 6) / 2)


def test_latencies_by_word_go_by_the_reference() -> None:
    found = values(summary(two()), "entropy@0.5", "words_by_word")
    assert found["AL"] == pytest.approx((1 + 6) / 2)
    assert found["LAAL"] == pytest.approx((1 + 6) / 2)
    longer = [record.model_copy(update={"references": ("a b c d",)}) for record in two()]
    assert values(summary(longer), "entropy@0.5", "words_by_word")["AL"] == pytest.approx(((1 + 3 - 1) / 2 + 6) / 2)


def test_latencies_in_tokens_only_where_they_are_known() -> None:
    assert values(summary(two()), "entropy@0.5", "tokens")["RCO"] == pytest.approx((3.5 / 8 + 10 / 20) / 2)
    assert "tokens" not in policy(summary([two()[0], two()[1].model_copy(update={"token_delays": None})]), "entropy@0.5").figures


def test_quality_and_outputs_by_hand() -> None:
    records = [
        made.record("full@0", 0, [10, 10]),
        made.record("full@0", 1, [3, 3], target="b x").model_copy(update={"read": 3}),
        made.record("full@0", 2, [], target=" "),
        made.record("full@0", 3, [10] * 4, target="c d e f").model_copy(update={"reason": "length", "error": "internal"}),
    ]
    found = summary(records, "exact_match", "f1")
    assert values(found, "full@0", "quality") == {"exact_match": 25, "f1": pytest.approx(100 * (1 + 2 / 3) / 4)}  # "a" is no word there
    assert values(found, "full@0", "outputs") == {"length_ratio": 8 / 8, "empty": 25, "capped": 25, "early": 25, "errors": 25}
    assert any("full@0 has most of them: 1 of 4 items" in note for note in found.notes)


def test_a_paced_run_has_times() -> None:
    clock = Clock(sent=(0.0, 0.5, 1.0, 1.5), writes=(0.75, 1.25))
    paced = made.RUN.model_copy(update={"pace": 2.0})
    found = summarise(paced, [made.record("full@0", 0, [1, 3], length=4, clock=clock)], ["f1"])
    assert values(found, "full@0", "pace") == {"first_write_p50": 750, "first_write_p95": 750, "lag_p50": 250, "lag_p95": 750}
    assert values(found, "full@0", "ms")["AIL"] == pytest.approx((750 + 1250 - 1000) / 2)
    assert not {"ms", "pace"} & set(policy(summary(two()), "entropy@0.5").figures)


def test_intervals_are_those_of_the_bootstrap() -> None:
    table = Table(made.sweep(), ["exact_match"], count=300)
    shares = [np.mean(record.delays) / record.source_length for record in table.records("entropy@0.60") if record]
    assert interval(table.rows("entropy@0.60")["words", "RCO"]) == Resamples([""] * 12, count=300).interval(counted(shares), ratio)


def test_only_items_that_every_policy_has_count_and_it_says_so() -> None:
    records = [record for record in made.sweep() if (record.policy, record.id) != ("wait_k@5", "i00")]
    found = summary(records)
    assert found.items == 11
    assert values(found, "full@0", "quality")["exact_match"] == pytest.approx(100 * 9 / 11)  # i00 was right
    assert "Not every policy has every item (wait_k@5 has only 11): all numbers are of the 11 that all have." in found.notes
    assert found.notes != summary(made.sweep()).notes == ()


def test_the_oracle_has_its_own_items_and_takes_none_from_the_others() -> None:
    oracle = [made.record("oracle@1", item, [item, item], right=True) for item in (2, 4, 6)]
    found = summary([*made.sweep(), *oracle])
    assert found.items == policy(found, "full@0").items == 12
    assert policy(found, "oracle@1").items == 3
    assert values(found, "oracle@1", "words")["RCO"] == pytest.approx(0.4)
    assert any(note.startswith("oracle@1 exists for 3 items") for note in found.notes)
    assert policy(found, "full@0") == policy(summary(made.sweep()), "full@0")
    assert not any("oracle" in one.against or "oracle" in one.policy for one in found.comparisons)


def test_policies_without_a_common_item_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="expected at least one item that every policy has; got none"):
        summary([made.record("full@0", 0, [1]), made.record("wait_k@3", 1, [1])])
    with pytest.raises(InvalidValueError, match="got none"):
        summary([])
    with pytest.raises(UnknownNameError, match=r"expected metric to be one of: .*bleu.*; got 'blue'"):
        summary(made.sweep(), "blue")


def test_one_group_says_nothing_about_others() -> None:
    found = summary([record.model_copy(update={"cluster": "one story"}) for record in made.sweep()])
    figures = [figure for one in found.policies for group in one.figures.values() for figure in group.values()]
    assert figures
    assert all(np.isnan([figure.low, figure.high]).all() for figure in figures)
    assert {one.verdict for one in found.comparisons} == {"not shown"}


@settings(max_examples=8, deadline=None)
@given(st.permutations(made.sweep(6)))
def test_the_order_of_the_records_means_nothing(records: list[Record]) -> None:
    assert summary(records).model_dump_json() == summary(made.sweep(6)).model_dump_json()


def test_heads_come_first_and_other_parameters_make_another_curve() -> None:
    labels = ["wait_k@5", "attention(score=focus)@0.5", "fixed_chunk(n=4, r=4)@1", "entropy@0.5", "entropy:low", "full@0", "attention@0.1"]
    found = summary([made.record(label, item, [5, 5]) for label, item in itertools.product(labels, range(2))])
    assert [(one.label, one.curve, one.baseline) for one in found.policies] == [
        ("attention@0.1", "attention", False),
        ("attention(score=focus)@0.5", "attention(score=focus)", False),
        ("entropy:low", "entropy", False),
        ("entropy@0.5", "entropy", False),
        ("full@0", "full", True),
        ("wait_k@5", "wait_k", True),
        ("fixed_chunk(n=4, r=4)@1", "fixed_chunk", True),
    ]


@pytest.mark.parametrize(("target", "landed"), [(0.53, True), (0.47, True), (0.54, False)])
def test_a_tier_lands_within_three_hundredths_of_coverage(target: float, landed: bool) -> None:
    records = [made.record("entropy:low", item, [5, 5]) for item in range(3)]
    tiers = {
        "entropy:low": TierTarget(metric="rco", target=target, achieved_on_development=0.5),
        "entropy:high": TierTarget(metric="ail", target=3),
    }
    (tier,) = summary(records, tiers=tiers).tiers
    assert tier.achieved == Interval(0.5, 0.5, 0.5)
    assert tier.landed is landed


def test_a_tier_lands_within_four_tenths_of_a_word() -> None:
    records = [made.record("entropy:low", item, [5, 5]) for item in range(3)]
    for metric, target, landed in (("ail", 2.9, True), ("ail", 2.95, False), ("LAAL", 2.5, True)):
        (tier,) = summary(records, tiers={"entropy:low": TierTarget(metric=metric, target=target)}).tiers
        assert tier.landed is landed or pytest.fail(f"{metric}={target}: {tier}")
    (unknown,) = summary(records, tiers={"entropy:low": TierTarget(metric="ail", target=1, convention="tokens")}).tiers
    assert unknown.landed is None
    with pytest.raises(UnknownNameError, match="got 'speed'"):
        summary(records, tiers={"entropy:low": TierTarget(metric="speed", target=1)})


def test_it_comes_back_from_json_with_null_for_what_is_not_known() -> None:
    signal = SignalSummary(
        n_items=2, n_probes=9, rows=(Signal(name="entropy", auc=Interval(0.9, float("nan"), float("nan")), against_phi=NOTHING),)
    )
    found = summary(made.sweep(), signal=signal, matched={"entropy@0.60": "wait_k@5"}, tiers={})
    text = found.model_dump_json()
    assert '"auc":{"value":0.9,"low":null,"high":null}' in text
    assert Summary.model_validate_json(text).model_dump_json() == text
