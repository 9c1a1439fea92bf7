"""H4 on made results: an effect over items and seeds is shown, none is not, and seeds are drawn too."""

import numpy as np
import pytest

from claims import h4
from claims.results import Point, Result
from tests.claims.made import result, right

LATENCIES = {0.0: 0.3, 0.5: 0.5, 0.8: 0.7}


def runs(task: str, gains: dict[str, tuple[float, ...]], items: int = 200) -> dict[str, Result]:
    """Quality rises with latency; a variant's gain is of each seed."""
    column, metric = ("LAAL", "chrf") if task == "translate" else ("RCO", "f1")
    made = {}
    for variant, by_seed in gains.items():
        for seed, gain in enumerate(by_seed):
            points = {Point(curve="entropy", threshold=at, purpose="curve"): x for at, x in LATENCIES.items()}
            points[Point(curve="full", threshold=0.0)] = 1.0
            rows = {}
            for place, (point, x) in enumerate(points.items()):
                scale = 10 if task == "translate" else 1
                quality = right(place, items, 0.4 + 0.2 * x + gain)
                rows[point.policy.label] = [_row(metric, scale * (x + 0.01 * (i % 3)), quality[i]) for i in range(items)]
            name = f"h4-{task}.{variant}.{seed}"
            columns = (column, *(f"{metric}.{i}" for i in range(18 if metric == "chrf" else 2)))
            made[name] = result(name, list(points), rows, columns, task=task)
    return made


def _row(metric: str, latency: float, quality: float) -> list[float]:
    """chrF of 10 n-grams of each order, of which the share `quality` matches."""
    return [latency, *([10.0, 10.0, 10 * quality] * 6 if metric == "chrf" else [quality, 1.0])]


GAINS = {"plain": (0.0, 0.0), "mslm": (0.1, 0.1), "spsd": (0.08, 0.09), "both": (0.2, 0.2), "paper": (0.2, 0.2)}


def test_gains_are_shown_and_stand_in_the_tables() -> None:
    claim = h4.judge(runs("translate", GAINS) | runs("answer", GAINS))
    assert claim.judgement == "holds", claim.findings
    assert len(claim.findings) == 10
    rows = [row for grid in claim.grids for row in grid.rows]
    assert any("`paper`" in row[1] and row[2].endswith("not shown") for row in rows if len(row) == 3)


def test_no_gain_is_not_shown_and_one_seed_alone_carries_nothing() -> None:
    split = {**GAINS, "both": (0.3, 0.05)}  # against mslm: one seed up, one down
    claim = h4.judge(runs("translate", split) | runs("answer", {**GAINS, "spsd": (0.0, 0.0)}))
    held = {finding.what: finding.holds for finding in claim.findings}
    assert held["translation: both better than mslm"] is False
    assert held["translation: both better than plain"] is True
    assert held["answering: spsd better than plain"] is False
    assert claim.judgement == "not shown"


def test_what_lacks_a_seed_or_a_variant_is_not_run() -> None:
    assert h4.judge(runs("answer", {"plain": (0.0,), "both": (0.2,)})).judgement == "not run"
    found = h4.areas(runs("answer", {"plain": (0.0, 0.0), "both": (0.2,), "mslm": (0.1, 0.1)}), "answer")
    assert found is not None
    assert set(found.of) == {"plain", "mslm"}
    assert h4.judge({}).judgement == "not run"


def test_area_is_the_mean_quality_between_the_latencies_that_all_reach() -> None:
    found = h4.areas(runs("answer", {"plain": (0.0, 0.0)}), "answer")
    assert found is not None
    assert (found.low, found.high) == pytest.approx((0.31, 1.01), abs=0.01)
    expected = 100 * (0.4 + 0.2 * np.mean([0.3, 1.0]))
    assert found.mean("plain")[0] == pytest.approx(expected, abs=2)
