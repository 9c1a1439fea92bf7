"""A user's own data as CSV, for any task: columns source and target, perhaps id and cluster; every other column is an input.

Knows no model and no metric.
"""

import csv
import io
from pathlib import Path

from errors import InvalidValueError
from tasks.example import Example
from tasks.files import name_of, text

OWN = ("source", "target", "id", "cluster")


def read(path: Path) -> list[Example]:
    """One Example a row, the first of which names the columns; the id is `NAME:LINE` where the file gives none, the cluster is the id.

    Raises InvalidValueError naming file, line and what was expected.
    """
    rows = csv.reader(io.StringIO(text(path), newline=""), strict=True)
    found = []
    try:
        columns = [name.strip() for name in next(rows, [])]
        if not {"source", "target"} <= set(columns) or len(set(columns)) < len(columns):
            raise InvalidValueError(
                f"{path}, line 1: expected columns source and target, each name once; got {', '.join(columns) or 'none'}"
            )
        for row in rows:
            if any(field.strip() for field in row):
                found.append(_example(path, rows.line_num, columns, row))
    except csv.Error as error:
        raise InvalidValueError(f"{path}, line {rows.line_num}: expected CSV: {error}") from error
    return found


def _example(path: Path, number: int, columns: list[str], row: list[str]) -> Example:
    if len(row) != len(columns):
        raise InvalidValueError(f"{path}, line {number}: expected {len(columns)} fields, as in line 1; got {len(row)}")
    fields = dict(zip(columns, row, strict=True))
    for side in ("source", "target"):
        if not fields[side].strip():
            raise InvalidValueError(f"{path}, line {number}: expected a {side}; got none")
    name = fields.get("id") or f"{name_of(path)}:{number}"
    return Example(
        id=name,
        source=fields["source"],
        references=(fields["target"],),
        inputs={column: value for column, value in fields.items() if column not in OWN},
        cluster=fields.get("cluster") or name,
    )
