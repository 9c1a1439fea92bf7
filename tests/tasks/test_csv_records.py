"""CSV of one's own: quoting as the standard library has it, inputs from columns, and errors that name the line."""

from pathlib import Path

import pytest

from errors import InvalidValueError
from tasks.csv_records import read


def test_columns_are_read_by_name_and_quotes_hold_commas_and_lines(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes('\ufeffquestion, target,source\r\nWho?,Ann,"Ann, a cook,\r\nsang\u2028 ""well"""\r\n\r\n,Bo,x\r\n'.encode())
    first, second = read(path)
    assert (first.id, first.source, first.references) == ("mine:3", 'Ann, a cook,\nsang\u2028 "well"', ("Ann",))
    assert (first.inputs, first.cluster) == ({"question": "Who?"}, "mine:3")
    assert (second.id, second.inputs) == ("mine:5", {"question": ""})


def test_ids_and_clusters_are_the_files_where_it_has_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("id,cluster,source,target\na,story,x,y\nb,,x,y\n,,x,y\n")
    assert [(example.id, example.cluster, dict(example.inputs)) for example in read(path)] == [
        ("a", "story", {}),
        ("b", "b", {}),
        ("mine:4", "mine:4", {}),
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "mine.csv, line 1: expected columns source and target, each name once; got none"),
        (b"en,de\na,b\n", "line 1: expected columns source and target, each name once; got en, de"),
        (b"source,target,source\na,b,c\n", "line 1: .*each name once"),
        (b"source,target\na\n", "line 2: expected 2 fields, as in line 1; got 1"),
        (b"source,target\na,b,c\n", "line 2: expected 2 fields, as in line 1; got 3"),
        (b"source,target\na,b\nc, \n", "line 3: expected a target; got none"),
        (b"source,target\n ,b\n", "line 2: expected a source; got none"),
        (b'source,target\n"a"b,c\n', "line 2: expected CSV: "),
        (b'source,target\n"a,b\n', "expected CSV: unexpected end of data"),
        (b"source,target\na,b\xff\n", "mine.csv: expected UTF-8; got other bytes at offset 17"),
    ],
)
def test_what_is_no_csv_of_sources_and_targets_is_refused(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(InvalidValueError, match=why):
        read(path)
