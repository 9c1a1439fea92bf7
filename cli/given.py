"""Flags that several commands have. Knows no command."""

from collections.abc import Iterable

from errors import InvalidValueError


def named(given: Iterable[str]) -> dict[str, str]:
    """`--set name=value`, repeated. Raises InvalidValueError for one without `=`."""
    parts = list(given)
    for part in parts:
        if "=" not in part:
            raise InvalidValueError(f"expected --set name=value, got {part!r}", param="set")
    return dict(part.split("=", 1) for part in parts)
