"""H1 on made results: a known effect is shown, and what is missing from it is not."""

from claims import h1
from claims.claim import Claim, Finding
from claims.results import Result
from tests.claims.made import answering


def both(**changes: float) -> dict[str, Result]:
    squad = {"coverage": 0.80, **changes}
    return answering("h1-needle", 2000, **changes) | answering("h1-squad", 1008, **squad)


def finding(claim: Claim, *parts: str) -> Finding:
    (found,) = (finding for finding in claim.findings if all(part in finding.what for part in parts))
    return found


def test_heads_that_know_when_they_have_read_enough_hold_the_claim() -> None:
    claim = h1.judge(both())
    assert claim.judgement == "holds", [finding for finding in claim.findings if not finding.holds]
    assert len(claim.findings) == 14
    assert any("fixed_fraction@0.7" in row[0] for grid in claim.grids for row in grid.rows)


def test_what_is_not_there_is_not_shown() -> None:
    lazy = h1.judge(both(head=0.95))
    assert finding(lazy, "needle", "entropy", "keeps").holds is False
    assert finding(lazy, "needle", "entropy", "fixed fraction").holds is True
    slow = h1.judge(both(coverage=0.78))
    assert finding(slow, "needle", "attention", "RCO at most").holds is False
    assert finding(slow, "SQuAD", "attention", "RCO at most").holds is True
    blind = h1.judge(both(fraction=0.98))
    assert finding(blind, "needle", "entropy", "fixed fraction").holds is False
    assert {claim.judgement for claim in (lazy, slow, blind)} == {"not shown"}


def test_too_few_items_hold_nothing() -> None:
    few = h1.judge(answering("h1-needle", 300) | answering("h1-squad", 1008, coverage=0.8))
    assert finding(few, "needle", "items").holds is False
    assert few.judgement == "not shown"


def test_without_the_plain_checkpoint_the_share_is_not_run() -> None:
    results = both()
    del results["h1-squad.plain"]
    claim = h1.judge(results)
    assert finding(claim, "SQuAD", "entropy", "keeps").holds is None
    assert finding(claim, "needle", "entropy", "keeps").holds is True
    assert claim.judgement == "not run"
    assert h1.judge({}).judgement == "not run"
