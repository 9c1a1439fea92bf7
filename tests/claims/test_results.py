"""Files of results: what was written is read, a cut line is dropped, another run is refused, the same run gives the same bytes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claims.results import Growing, Header, Line, Point, begun, publish, read_all, rounded
from errors import InvalidValueError

POINTS = (Point(curve="entropy", threshold=0.5, purpose="point", metric="rco", target=0.7), Point(curve="entropy", tier="low"))
COLUMNS = ("RCO", "f1.0", "f1.1")
HEADER = Header(
    name="h1-needle", model="tiny", model_hash=None, task="answer", data=("needle",), data_hash="0", items=2, columns=COLUMNS, points=POINTS
)
LINES = [Line(id=name, cluster="", rows=((0.5, 1, 1), ())) for name in ("b", "a")]


def grown(path: Path, lines: list[Line], header: Header = HEADER) -> Path:
    with Growing(path, header) as growing:
        for line in lines:
            growing.add(line)
    return path


def test_what_was_written_is_published_and_read(tmp_path: Path) -> None:
    written = publish(grown(tmp_path / "work.jsonl", LINES), tmp_path / "results")
    found = read_all(tmp_path / "results")["h1-needle"]
    assert written == tmp_path / "results" / "h1-needle.jsonl.gz"
    assert (found.header, found.complete, [line.id for line in found.lines]) == (HEADER, True, ["a", "b"])
    assert [point.policy.label for point in found.header.points] == ["entropy@0.5", "entropy:low"]
    before = written.read_bytes()
    publish(grown(tmp_path / "again.jsonl", LINES[::-1]), tmp_path / "results")
    assert written.read_bytes() == before


def test_a_run_that_was_cut_off_goes_on(tmp_path: Path) -> None:
    path = grown(tmp_path / "work.jsonl", LINES[:1])
    with pytest.raises(InvalidValueError, match=r"expected 2 items .* got 1"):
        publish(path, tmp_path)
    path.write_text(path.read_text() + '{"id":"c","clus')
    assert begun(path) == HEADER
    with Growing(path, HEADER) as growing:
        assert growing.done == {"b"}
        growing.add(LINES[1])
    assert read_all(publish(path, tmp_path).parent)["h1-needle"].complete


def test_another_run_is_refused(tmp_path: Path) -> None:
    path = grown(tmp_path / "work.jsonl", LINES)
    with pytest.raises(InvalidValueError, match="hold the run"):
        Growing(path, HEADER.model_copy(update={"model_hash": "1"}))
    path.write_text("no results\n")
    with pytest.raises(InvalidValueError, match="to hold results"):
        begun(path)
    assert begun(tmp_path / "none.jsonl") is None


@given(st.lists(st.one_of(st.none(), st.floats(-1000, 1000))))
def test_rounded_numbers_are_near(numbers: list[float | None]) -> None:
    for before, after in zip(numbers, rounded(numbers), strict=True):
        assert (before is None) == (after is None)
        assert before is None or after is None or abs(before - after) <= 5.001e-6
