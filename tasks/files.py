"""Data files on disk: text or gzip, line by line, with errors that name the place. Knows no format."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from errors import InvalidValueError


def name_of(path: Path) -> str:
    """The file's name without the ending that says how it is packed and laid out: `dev.tsv.gz` is `dev`."""
    name = path.name.removesuffix(".gz")
    return name.rsplit(".", 1)[0] if "." in name else name


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end). Blank lines are left out.

    Raises InvalidValueError naming file and line where the bytes are not UTF-8, and naming the file where it cannot be read.
    """
    # Not splitlines(): U+2028 and its like belong to the text of a line.
    for number, raw in enumerate(_content(path).split(b"\n"), start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            raise InvalidValueError(f"{path}, line {number}: expected UTF-8; got byte {raw[error.start : error.start + 1]!r}") from error
        if line.strip():
            yield number, line


def text(path: Path) -> str:
    """The whole file, its line ends as `\\n`. Raises InvalidValueError as `lines` does."""
    try:
        return _content(path).decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise InvalidValueError(f"{path}: expected UTF-8; got other bytes at offset {error.start}") from error


def reason(error: ValidationError) -> str:
    """What is wrong first, and where, in a few words for a message."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:  # gzip.BadGzipFile is an OSError
        raise InvalidValueError(f"expected a data file that can be read; got {path}: {error}") from error
