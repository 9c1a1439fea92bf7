"""H0 on made probes: scores that know, and one that knows phi only."""

import numpy as np

from claims import h0
from claims.results import Header, Line, Result, rounded

NAMES = ("phi alone", "agrees", "entropy", "attention", "mass")


def probes(name: str, *, blind: str = "", items: int = 60) -> Result:
    """Agreement from a random prefix on; the score `blind` is a number drawn at random."""
    random = np.random.default_rng(3)
    lines = []
    for item in range(items):
        known = random.integers(1, 11)
        rows = []
        for phi in range(1, 11):
            agrees = bool(phi >= known) != bool(random.random() < 0.1)
            scores = [random.normal(agrees and score != blind, 0.5) for score in NAMES[2:]]
            rows.append(rounded([phi, agrees, *scores]))
        lines.append(Line(id=f"i{item:03d}", cluster="", rows=tuple(rows)))
    header = Header(
        name=name, model="made", model_hash=None, task="answer", data=("made",), data_hash="0", items=items, columns=NAMES
    )  # fmt: skip
    return Result(header, tuple(lines))


def test_scores_that_know_hold_the_claim_and_a_blind_one_does_not() -> None:
    knowing = {name: probes(name) for name in h0.WHERE}
    assert h0.judge(knowing).judgement == "holds"
    claim = h0.judge(knowing | {"h0-squad": probes("h0-squad", blind="mass")})
    assert [finding.what for finding in claim.findings if not finding.holds] == ["SQuAD: mass better than phi alone"]
    assert claim.judgement == "not shown"


def test_phi_alone_is_the_measure() -> None:
    rows = h0.table(probes("h0-squad"))
    assert rows["phi alone"].against_phi.value == 0
    assert rows["entropy"].auc.value > rows["phi alone"].auc.value + 0.05


def test_a_task_without_results_was_not_run() -> None:
    claim = h0.judge({"h0-squad": probes("h0-squad")})
    assert claim.judgement == "not run"
    assert sum(finding.holds is None for finding in claim.findings) == 6
