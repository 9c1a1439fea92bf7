"""H3 on made results."""

from claims import h3
from claims.results import Point, Result
from tests.claims.made import answering, near, result, right


def translation(low: float = 0.65, faster: float = 0.6, slower: float = 0.9, items: int = 400) -> Result:
    tiers = [("low", 0.65, low, faster), ("medium", 0.8, 0.81, 0.8), ("high", 0.92, 0.92, slower)]
    points = [Point(curve="weighted", tier=name, purpose="tier", metric="rco", target=target) for name, target, _, _ in tiers]
    rows = {}
    for seed, (point, (_, _, latency, share)) in enumerate(zip(points, tiers, strict=True)):
        rows[point.policy.label] = [[x, y, 1.0] for x, y in zip(near(seed, items, latency), right(seed, items, share), strict=True)]
    full = Point(curve="full", threshold=0.0)
    rows[full.policy.label] = [[1.0, 1.0, 1.0]] * items
    return result("h3-translate", [*points[::-1], full], rows, ("RCO", "f1.0", "f1.1"), task="translate")


def judged(found: Result) -> str:
    return h3.judge({"h3-translate": found, **answering("h1-squad", 1008)}).judgement


def test_tiers_on_target_whose_quality_rises_hold_the_claim() -> None:
    assert judged(translation()) == "holds"


def test_a_tier_off_its_target_and_quality_that_falls_do_not() -> None:
    assert judged(translation(low=0.70)) == "not shown"
    assert judged(translation(slower=0.7)) == "not shown"
    assert judged(translation(faster=0.9)) == "not shown"


def test_a_checkpoint_without_tiers_is_not_run() -> None:
    assert h3.judge({}).judgement == "not run"
    found = h3.judge({"h3-translate": translation()})
    assert found.judgement == "not run"
    assert found.findings[-1].holds is None
