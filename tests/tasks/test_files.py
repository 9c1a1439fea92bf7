"""Data files: plain and gzip, line numbers, and errors that say where."""

import gzip
from pathlib import Path

import pytest

from errors import InvalidValueError
from tasks.files import lines, name_of, text


@pytest.mark.parametrize("name", ["a.tsv", "a.tsv.gz"])
def test_lines_are_counted_with_the_blank_ones_and_given_without(tmp_path: Path, name: str) -> None:
    content = "\ufeffone\r\n\n  \ntwo\u2028still two\n".encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert list(lines(tmp_path / name)) == [(1, "one"), (4, "two\u2028still two")]
    assert text(tmp_path / name) == "one\n\n  \ntwo\u2028still two\n"


def test_other_bytes_are_refused_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes(b"fine\nna\xefve\n")
    with pytest.raises(InvalidValueError, match=r"a\.tsv, line 2: expected UTF-8; got byte b'\\xef'"):
        list(lines(tmp_path / "a.tsv"))
    with pytest.raises(InvalidValueError, match="expected UTF-8; got other bytes at offset 7"):
        text(tmp_path / "a.tsv")


@pytest.mark.parametrize(
    "content", [None, b"plain", gzip.compress(b"whole", mtime=0)[:-4], gzip.compress(b"whole" * 9, mtime=0)[:20] + b"\x07" * 30]
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "a.tsv.gz"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidValueError, match=r"expected a data file that can be read; got .*a\.tsv\.gz"):
        text(path)


def test_names() -> None:
    assert [name_of(Path(name)) for name in ("x/dev.tsv.gz", "tst2016.en-de.tsv", "val.en.gz", "bare")] == [
        "dev",
        "tst2016.en-de",
        "val",
        "bare",
    ]
