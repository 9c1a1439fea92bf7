"""The mean of several checkpoints' weights, often better than any of them: of two stages that pull different ways (Wortsman et al. 2022,
"Robust fine-tuning of zero-shot models"). Knows files of weights and no model.

    python -m training.average runs/first/model runs/second/model --out runs/mean
"""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from errors import CheckpointError, ProactiveError


def average(folders: Sequence[Path], out: Path) -> None:
    """Writes a folder like the last one, which must not be there yet; its weights are the mean of all, each in its own dtype.

    Raises CheckpointError where the folders' files of weights, their names or their shapes differ, or one cannot be read.
    """
    names = [sorted(path.name for path in folder.glob("*.safetensors")) for folder in folders]
    if len(folders) < 2 or not names[-1] or any(found != names[-1] for found in names):
        told = "; ".join(f"{', '.join(found) or 'none'} in {folder}" for folder, found in zip(folders, names, strict=True))
        raise CheckpointError(f"expected two folders or more, each with the same safetensors files; got {told}")
    if out.exists():
        raise CheckpointError(f"expected a folder that is not there yet, got {out}")
    means = {name: _mean([folder / name for folder in folders]) for name in names[-1]}
    shutil.copytree(folders[-1], out, ignore=shutil.ignore_patterns("*.safetensors"))
    for name, tensors in means.items():
        save_file(tensors, out / name, metadata={"format": "pt"})


def _mean(files: Sequence[Path]) -> dict[str, torch.Tensor]:
    try:
        parts = [load_file(path) for path in files]
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"expected readable weights in {', '.join(map(str, files))}: {error}") from error
    shapes = [{name: tensor.shape for name, tensor in part.items()} for part in parts]
    if any(found != shapes[-1] for found in shapes):
        raise CheckpointError(f"expected weights of the same names and shapes in {', '.join(map(str, files))}")
    return {
        name: torch.stack([part[name].float() for part in parts]).mean(0).to(like.dtype)  # in float32: halves would round twice
        for name, like in parts[-1].items()
    }


def main(
    folders: Annotated[list[Path], typer.Argument(help="Folders of checkpoints of one shape; other files are taken from the last.")],
    out: Annotated[Path, typer.Option(help="Folder that is made.")],
) -> None:
    """Write a checkpoint with the mean of the weights of others."""
    try:
        average(folders, out)
    except ProactiveError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    typer.run(main)
