"""Figures from committed numbers, against a Table's from the records that the numbers were made of."""

import pytest

from claims.claim import judged
from claims.figures import LATENCY_KEYS, Figures
from claims.measured import columns, row
from claims.results import Header, Line, Point, Result
from errors import InvalidValueError
from evaluation.bootstrap import Interval
from evaluation.compare import Curve
from evaluation.table import COVERAGE, Table
from tests.evaluation.made import record, sweep

LATENCIES, METRICS = ("RCO", "AIL", "LAAL"), ("exact_match", "f1")
SILENT = [record("entropy@0.9", item, [9, 9] if item else [], target=None if item else "") for item in range(12)]
RECORDS = [one.model_copy(update={"policy": f"{one.curve}@{one.threshold:.6g}"}) for one in (*sweep(), *SILENT)]


def committed() -> Result:
    by_key = {(one.policy, one.id): one for one in RECORDS}
    policies = sorted({(one.curve, one.threshold) for one in RECORDS})
    points = tuple(Point(curve=name, threshold=at, purpose="point" if (name, at) == ("entropy", 0.6) else "curve") for name, at in policies)
    lines = []
    for item in sorted({one.id for one in RECORDS}):
        rows = tuple(row(by_key[point.policy.label, item], LATENCIES, METRICS) for point in points)
        lines.append(Line(id=item, cluster="", rows=rows))
    named = {"name": "made", "model": "m", "model_hash": None, "task": "answer", "data": ("d",), "data_hash": "0", "items": 12}
    return Result(Header.model_validate({**named, "columns": columns(LATENCIES, METRICS), "points": points}), tuple(lines))


def test_numbers_are_those_of_a_table_on_every_resample() -> None:
    figures, table = Figures(committed(), count=200), Table(RECORDS, METRICS, count=200)
    keys = [*(LATENCY_KEYS[name] for name in LATENCIES), *(("quality", name) for name in METRICS)]
    for label in table.labels:
        for key in keys:
            assert figures.rows(label)[key] == pytest.approx(table.rows(label)[key], abs=1e-4, nan_ok=True), (label, key)


def test_a_curve_is_a_tables() -> None:
    figures, table = Figures(committed(), count=100), Table(RECORDS, METRICS, count=100)
    labels = [label for label in table.labels if table.curve(label) in {"fixed_fraction", "full"}]
    expected = Curve.of(table, labels, "f1").at(table.rows("entropy@0.6")[COVERAGE])
    found = figures.curve("fixed_fraction", "f1", COVERAGE).at(figures.rows("entropy@0.6")[COVERAGE])
    assert found == pytest.approx(expected, abs=1e-3, nan_ok=True)


def test_points_are_found_by_their_purpose() -> None:
    figures = Figures(committed(), count=10)
    assert figures.label("entropy", "point") == "entropy@0.6"
    assert [point.threshold for point in figures.points("wait_k")] == [2, 5, 9]
    assert figures.metrics == ["exact_match", "f1"]
    with pytest.raises(InvalidValueError, match="policy oracle"):
        figures.label("oracle")


def test_only_shared_items_count() -> None:
    whole = committed()
    part = Result(whole.header, whole.lines[:7])
    assert Figures(whole, part, count=10).items == [line.id for line in whole.lines[:7]]
    with pytest.raises(InvalidValueError, match="share"):
        Figures(whole, Result(whole.header, ()), count=10)


def test_a_difference_is_told_with_its_verdict() -> None:
    assert judged(Interval(1.0, 0.5, 1.5), "better") == "+1.0 [+0.5, +1.5] better"
