"""AL, LAAL and DAL against SimulEval's own scorers, corner cases included. Skipped where SimulEval is not installed."""

import json
import warnings
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evaluation.latency import LATENCY, Delays, mean

theirs = pytest.importorskip("simuleval.evaluator.scorers.latency_scorer")
instance = pytest.importorskip("simuleval.evaluator.instance")

NAMES = ["AL", "LAAL", "DAL"]
WORDS = st.lists(st.integers(0, 60), max_size=30)
MILLISECONDS = st.lists(st.floats(0, 60_000, allow_subnormal=False), max_size=30)
DELAYS = st.one_of(WORDS, WORDS.map(sorted), MILLISECONDS, MILLISECONDS.map(sorted))
LENGTH = st.one_of(st.integers(0, 60), st.floats(1, 60_000))
REFERENCE = st.none() | st.integers(1, 40)  # an empty reference is one word to SimulEval


def logged(delays: Delays) -> Any:
    """An instance as SimulEval reads it back from its log."""
    reference = None if delays.reference_length is None else " ".join(["word"] * delays.reference_length)
    line = {"index": 0, "delays": list(delays.delays), "source_length": delays.source_length, "reference": reference}
    return instance.LogInstance(json.dumps(line))


def expected(name: str, delays: Delays) -> float | None:
    """Their score; None where they refuse an item: no delays, or a division by the length of an empty source."""
    try:
        return theirs.LATENCY_SCORERS_DICT[name]().compute(logged(delays))
    except (AssertionError, ZeroDivisionError):
        return None


@pytest.mark.parametrize("name", NAMES)
@given(delays=DELAYS, source_length=LENGTH, reference_length=REFERENCE)
@example(delays=[], source_length=5, reference_length=3)  # empty output
@example(delays=[0, 0], source_length=0, reference_length=3)  # empty source
@example(delays=[4], source_length=0, reference_length=None)
@example(delays=[9, 9], source_length=5, reference_length=4)  # the first delay beyond the source
@example(delays=[5, 5, 5], source_length=5, reference_length=1)  # batch
@example(delays=[1, 5, 2, 5], source_length=5, reference_length=9)  # the source's end is reached and left again
@example(delays=[1, 2, 3], source_length=5, reference_length=2)  # an early end
def test_an_item_scores_as_simuleval_says(name: str, delays: list[float], source_length: float, reference_length: int | None) -> None:
    item = Delays(tuple(delays), source_length, reference_length)
    ours, right = LATENCY[name](item), expected(name, item)
    if right is None:
        assert ours is None
    else:
        assert ours == pytest.approx(right, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
@given(st.lists(st.tuples(WORDS, st.integers(1, 60), REFERENCE), min_size=1, max_size=6))
def test_a_corpus_scores_as_simuleval_says(name: str, rows: list[tuple[list[int], int, int | None]]) -> None:
    items = [Delays(tuple(delays), source_length, reference_length) for delays, source_length, reference_length in rows]
    items.append(Delays((2, 3), 3, 2))  # they have no score for a corpus without any output
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # they call logger.warn for every empty output
        right = theirs.LATENCY_SCORERS_DICT[name]()(dict(enumerate(map(logged, items))))
    assert mean(LATENCY[name], items) == pytest.approx(right, rel=1e-9, abs=1e-9)
