"""H0 and the selection of heads, on signals made by hand: what predicts is found, what does not is not."""

from math import log

import numpy as np
import pytest
import torch

import heads
from errors import InvalidValueError
from evaluation.probing import Limits, Seen
from evaluation.signal_test import PHI, SHUFFLED, head_scores, rows, select_pairs, shuffled
from tests import tiny
from tests.evaluation.test_probing import EXAMPLES

V = 50


def made(items: int = 30, prefixes: int = 8) -> list[Seen]:
    """Agreement from a random prefix on; entropy falls there, and attention finds its place; phi says a little."""
    random = np.random.default_rng(1)
    seen = []
    for item in range(items):
        known = random.integers(1, prefixes + 1)
        for phi in range(1, prefixes + 1):
            agrees = bool(phi >= known) != bool(random.random() < 0.05)
            attention = torch.full((phi,), 0.02)
            attention[int(random.integers(phi))] = 0.5 if agrees else 0.1
            seen.append(Seen(item, phi, 0, agrees, float(random.normal(1.0 if agrees else 2.5, 0.4)), attention))
    return seen


def test_heads_that_know_beat_phi_and_shuffled_attention_does_not() -> None:
    found = {row.name: row for row in rows(made(), [f"c{i // 2}" for i in range(30)], V)}
    assert found["entropy"].auc.value > 0.95
    assert found["attention"].against_phi.low > 0
    assert found["entropy"].against_phi.low > 0
    assert found[PHI].against_phi.value == found[PHI].against_phi.low == found[PHI].against_phi.high == 0
    assert found[SHUFFLED].auc.value < found["attention"].auc.value - 0.1


def test_scores_are_the_heads_own() -> None:
    seen = made(items=100)
    assert head_scores(heads.create("entropy"), seen, V) == pytest.approx([1 - probe.entropy / log(V) for probe in seen], abs=1e-6)
    assert head_scores(heads.create("attention"), seen, V) == pytest.approx([float(probe.attention.max()) for probe in seen])


def test_shuffling_keeps_phi_and_the_attentions_of_each_phi() -> None:
    seen = made()
    mixed = shuffled(seen, 0)
    assert [(p.phi, p.agrees, p.entropy) for p in mixed] == [(p.phi, p.agrees, p.entropy) for p in seen]
    for phi in (1, 5):
        before, after = (sorted(float(p.attention.max()) for p in probes if p.phi == phi) for probes in (seen, mixed))
        assert before == after
    assert any(a.attention is not b.attention for a, b in zip(seen, mixed, strict=True))


def test_without_both_kinds_of_probe_there_is_nothing_to_test() -> None:
    agreeing = [Seen(0, 1, 0, True, 1.0, torch.tensor([0.1]))]
    with pytest.raises(InvalidValueError, match="got 1 of 1"):
        rows(agreeing, ["a"], V)


def test_the_pairs_with_the_largest_areas_are_selected() -> None:
    checkpoint = tiny.checkpoint()
    every = select_pairs(checkpoint, "echo", EXAMPLES, Limits(), count=12)
    assert len({pair for pair, _ in every}) == 12  # 3 layers of 4 heads
    areas = [area for _, area in every]
    assert areas == sorted(areas, reverse=True)
    assert select_pairs(checkpoint, "echo", EXAMPLES, Limits(), count=3) == every[:3]
