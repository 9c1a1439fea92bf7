"""Labels are unique, requests carry what a baseline must know, and unknown baselines are refused with the list."""

import pytest

from errors import UnknownNameError
from evaluation.policies import ALL_BASELINES, Policy, baselines
from tasks.example import Example

EXAMPLE = Example("e", "one two three four", ("x",), inputs={"question": "q"}, oracle=3)


def test_labels_are_unique_within_a_run() -> None:
    points = [Policy("entropy"), Policy("entropy", 0.8), Policy("entropy", tier="low"), *baselines(ALL_BASELINES, [EXAMPLE])]
    labels = [point.label for point in points]
    assert len(set(labels)) == len(labels)
    assert labels[:3] == ["entropy", "entropy@0.8", "entropy:low"]
    assert "fixed_chunk(n=2, r=2)@1" in labels


def test_baselines_are_told_what_no_server_knows() -> None:
    requests = {point.name: point.request("t", EXAMPLE) for point in baselines(ALL_BASELINES, [EXAMPLE])}
    assert (requests["fixed_fraction"].head, requests["fixed_fraction"].head_params) == ("fixed_fraction", {"source_length": 4})
    assert (requests["oracle"].head, requests["oracle"].head_params, requests["oracle"].threshold) == (
        "fixed_fraction",
        {"source_length": 3},
        1.0,
    )
    assert requests["random"].head == "random_gate"
    assert requests["random"].head_params == Policy("random", 0.5).request("other", EXAMPLE).head_params  # the item's own seed
    assert all(request.decisions and request.inputs == {"question": "q"} for request in requests.values())


def test_no_point_waits_for_more_than_the_longest_source() -> None:
    points = baselines(["wait_k", "fixed_chunk", "align_att"], [EXAMPLE])
    assert [point.threshold for point in points if point.name == "wait_k"] == [1, 2, 3]
    assert all((point.threshold or 0) <= 4 for point in points)


def test_the_oracle_is_for_items_that_have_one() -> None:
    without = Example("f", "one two", ("x",))
    assert not Policy("oracle", 1.0).suits(without)
    assert Policy("full", 0.0).suits(without)
    assert baselines(["oracle"], [without]) == []


def test_an_unknown_baseline_is_refused_with_the_list() -> None:
    with pytest.raises(UnknownNameError, match=r"align_att.*full.*'luck'"):
        baselines(["luck"], [EXAMPLE])
