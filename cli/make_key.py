"""`proactivellm make-key`: a new API key on standard output, its hash in a file. Holds no logic of its own."""

import sys
from pathlib import Path
from typing import Annotated

import typer


def make_key(
    name: Annotated[str, typer.Argument(help="Whose key it is: letters, digits, - and _.")],
    file: Annotated[Path, typer.Option(help="The file that `serve --api-keys-file` reads; made if it is not there.")] = Path(
        "api-keys.toml"
    ),
) -> None:
    """Make an API key: print it once, and append its hash to a file. A running server that reads the file takes it at once."""
    from server.keys import add_key  # noqa: PLC0415 (only what the command needs is imported)

    print(add_key(file, name))
    print(f"Keep it: {file} holds only its hash, under [{name}]. Take that table out to revoke it.", file=sys.stderr)
