"""Translation data: `source<TAB>target` a line, or two parallel files. Knows no language and no metric."""

from itertools import zip_longest
from pathlib import Path

from errors import InvalidValueError
from tasks.example import Example
from tasks.files import lines, name_of


def read(path: Path) -> list[Example]:
    """One Example a line of a TSV, plain or gzip; blank lines are skipped.

    A source that stands on several lines, each with another target, stays several items, because BLEU takes one reference a line;
    their cluster, the source, keeps them together in resampling. Raises InvalidValueError naming file, line and what was expected.
    """
    return [_pair(line.split("\t"), path, number) for number, line in lines(path)]


def read_parallel(source: Path, target: Path) -> list[Example]:
    """One Example for line n of both files. Raises InvalidValueError unless the same lines of both hold text."""
    found = []
    for left, right in zip_longest(lines(source), lines(target)):
        if left is None or right is None or left[0] != right[0]:
            number = min(side[0] for side in (left, right) if side is not None)
            raise InvalidValueError(f"{source}, {target}, line {number}: expected text in both files; got it in one")
        found.append(_pair([left[1], right[1]], source, left[0]))
    return found


def _pair(fields: list[str], path: Path, number: int) -> Example:
    sides = [field.strip() for field in fields]
    if len(sides) != 2:
        raise InvalidValueError(f"{path}, line {number}: expected source<TAB>target; got {len(sides)} field{'s' * (len(sides) > 1)}")
    if not all(sides):
        raise InvalidValueError(f"{path}, line {number}: expected text on both sides; got an empty {'target' if sides[0] else 'source'}")
    return Example(id=f"{name_of(path)}:{number}", source=sides[0], references=(sides[1],), cluster=sides[0])
