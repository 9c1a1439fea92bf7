"""Runs a recipe from the command line. Knows no recipe."""

import sys
from collections.abc import Callable

import typer

from errors import ProactiveError


def command(main: Callable[..., None]) -> None:
    """Runs it on the arguments of this process; what it refuses is told in one line."""
    try:
        typer.run(main)
    except ProactiveError as error:
        sys.exit(error.message)
