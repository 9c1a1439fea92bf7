"""The claim about speech on made results: both of what is asked must be shown, and a target says nothing about the other part."""

import numpy as np
import pytest

from claims import speech
from claims.parts import DIGITS_POINT
from claims.results import Point, Result
from tests.claims.made import result

JUDGED = Point(curve="entropy", threshold=0.9, purpose=DIGITS_POINT, metric="lag", target=800)
CURVE = Point(curve="entropy", threshold=0.8, purpose="curve", metric="rco", target=0.65)
POINTS = [JUDGED, CURVE, Point(curve="full", threshold=0.0), Point(curve="wait_k", threshold=3.0)]


def digits(wer: float, lag: float, items: int = 300, name: str = "speech-digits") -> Result:
    """Five words an item; the head has this rate and this lag, and now and then an item of which no word was recognised."""
    rng = np.random.default_rng(0)
    wrong = rng.binomial(5, wer / 100, items).astype(float)
    late = rng.normal(lag, 50, items)
    rows: dict[str, list[list[float | None]]] = {
        point.policy.label: [[x, x, 0.5, errors, 5.0] for x, errors in zip(late, wrong, strict=True)] for point in POINTS
    }
    rows["full@0"][0][0] = None
    columns = ("WORD_LAG", "LAAL", "RCO", "wer_words.0", "wer_words.1")
    return result(name, POINTS, rows, columns, task="transcribe")


@pytest.mark.parametrize(
    ("wer", "lag", "holds"), [(2, 800, [True, True]), (4.9, 800, [False, True]), (2, 1000, [True, False]), (20, 2000, [False, False])]
)
def test_both_upper_bounds_must_be_within(wer: float, lag: float, holds: list[bool]) -> None:
    claim = speech.judge({"speech-digits": digits(wer, lag)})
    assert [finding.holds for finding in claim.findings] == [*holds, None, None]
    assert claim.judgement == ("not run" if all(holds) else "not shown")
    header, judged, curve, *_ = claim.grids[0].rows
    assert header == ("policy", "chosen for", "ms from a word's end", "LAAL in ms", "RCO", "word error rate, %")
    assert judged[:2] == ("entropy@0.9", "800 ms from a word's end")
    assert curve[:2] == ("entropy@0.8", "RCO of 0.65")
    assert judged[2] == claim.findings[1].number


def test_without_digits_nothing_is_judged() -> None:
    assert speech.judge({}).judgement == "not run"
    assert speech.judge({}).grids == []


def test_every_speaker_counts_the_same() -> None:
    """However many recordings there are of one; and one speaker's figure alone decides nothing."""
    turns = {"ann": digits(2, 500, 300, "speech-digits.ann"), "bob": digits(10, 900, 100, "speech-digits.bob")}
    claim = speech.judge({f"speech-digits.{name}": found for name, found in turns.items()})
    assert [finding.holds for finding in claim.findings] == [None, None, False, True]
    header, *rows = claim.grids[0].rows
    assert [row[0] for row in rows] == ["ann", "bob", "mean of speakers"]
    assert [row[1] for row in rows] == ["300", "100", "400"]
    rates = [float(row[header.index("entropy, judged: word error rate, %")].split()[0]) for row in rows]
    assert rates[2] == pytest.approx((rates[0] + rates[1]) / 2, abs=0.11)
    assert rates[1] > 5 > rates[0]
    assert claim.findings[2].number.startswith(f"{rates[2]:.1f} ")
