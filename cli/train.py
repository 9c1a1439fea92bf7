"""`proactivellm train`: a configuration in, a served checkpoint out. Holds no logic of its own."""

from pathlib import Path
from typing import Annotated

import typer


def train(
    config: Annotated[Path, typer.Argument(help="TOML file: model, data, budget, loss, optimizer, run.")],
) -> None:
    """Train a model to decide by itself when to speak, or go on with a run that was interrupted."""
    from training.config import read_config  # noqa: PLC0415 (torch takes seconds to import; --help must not)
    from training.memory import keep_freed  # noqa: PLC0415
    from training.run import train as run  # noqa: PLC0415

    keep_freed()
    print(run(read_config(config)))
