"""H2 on made results: three points, two of which must be shown."""

import numpy as np
import pytest

from claims import h2
from claims.results import Point, Result
from tests.claims.made import result, right

KS = (1.0, 3.0, 5.0, 7.0, 9.0, 13.0)


def translation(gains: tuple[float, float, float], items: int = 600, head: str = "entropy") -> Result:
    """Wait-k's quality rises by 0.05 a word of lag; the head is as fast as wait-3, -5 and -7, and better by `gains`."""
    system = {Point(curve="wait_k", threshold=k): (k, 0.2 + 0.05 * k) for k in KS}
    system[Point(curve="full", threshold=0.0)] = (15.0, 0.95)
    for k, gain in zip((3, 5, 7), gains, strict=True):
        aim = {"metric": "laal", "target": float(k)}
        system[Point(curve=head, threshold=k / 10, purpose=f"wait-{k}", **aim)] = (k + 0.3, 0.2 + 0.05 * (k + 0.3) + gain)  # type: ignore[arg-type]  # by name
    rows = {}
    for seed, (point, (lag, share)) in enumerate(system.items()):
        lags = np.random.default_rng(seed).normal(lag, 0.5, items)
        rows[point.policy.label] = [[x, y, 1.0] for x, y in zip(lags, right(seed, items, share), strict=True)]
    return result("h2-translate", list(system), rows, ("LAAL", "f1.0", "f1.1"), task="translate")


GAINS = (((0.1, 0.1, 0.1), "holds"), ((0.1, 0.0, 0.1), "holds"), ((0.1, 0.0, 0.0), "not shown"), ((-0.1, -0.1, -0.1), "not shown"))


@pytest.mark.parametrize(("gains", "expected"), GAINS)
def test_two_points_of_three_hold_the_claim(gains: tuple[float, float, float], expected: str) -> None:
    claim = h2.judge({"h2-translate": translation(gains)})
    assert [finding.holds for finding in claim.findings] == [gain > 0 for gain in gains]
    assert claim.judgement == expected


@pytest.mark.parametrize(("gains", "expected"), GAINS)
def test_the_head_that_mends_the_claim_is_judged_beside_it(gains: tuple[float, float, float], expected: str) -> None:
    results = {"h2-translate": translation(gains, head="weighted")}
    assert h2.mended(results).judgement == expected
    assert h2.judge(results).judgement == "not run"


def test_a_baseline_that_is_better_is_told_so() -> None:
    cells = [cell for row in h2.judge({"h2-translate": translation((-0.1,) * 3)}).grids[0].rows for cell in row]
    assert sum(cell.endswith("worse") for cell in cells) == 3


def test_without_results_nothing_was_run() -> None:
    assert h2.judge({}).judgement == "not run"
