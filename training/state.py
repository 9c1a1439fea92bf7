"""A run's checkpoints on disk: written whole or not at all, found again, thinned out. No pickle: safetensors and JSON.

Knows folders, tensors by name and optimizers; knows nothing of what is trained or why.
"""

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict, set_optimizer_state_dict

from errors import CheckpointError

MODEL = "model"  # of a checkpoint: what is served; of a run: the newest checkpoint's
_WHOLE = StateDictOptions(full_state_dict=True)
_TO_FIRST = StateDictOptions(full_state_dict=True, cpu_offload=True)  # gathered by the first process alone


def save(out: Path, step: int, write: Callable[[Path], None], keep: int) -> Path:
    """A checkpoint `step-…` in `out`, filled by `write`; `out/model` then leads to its `model`, and all but the newest `keep` are removed.

    Raises CheckpointError if it cannot be written, such as on a full disk; then everything is as before.
    """
    final = out / f"step-{step:08d}"
    made = out / f".{final.name}.partial"
    shutil.rmtree(made, ignore_errors=True)
    try:
        made.mkdir(parents=True)
        write(made)
        _sync(made)
        shutil.rmtree(final, ignore_errors=True)
        made.rename(final)
        _point(out / MODEL, Path(final.name) / MODEL)
        _sync_folder(out)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(made, ignore_errors=True)
        last = latest(out)
        stands = f"{last} stands" if last else "there is none yet"
        raise CheckpointError(f"expected to write the checkpoint {final}: {error}; the last one is as it was: {stands}") from error
    for old in _all(out)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def latest(out: Path) -> Path | None:
    """The newest whole checkpoint of a run, None if it has none."""
    return next(iter(_all(out)[::-1]), None)


def _all(out: Path) -> list[Path]:
    return sorted(out.glob("step-*"))


def _point(link: Path, target: Path) -> None:
    made = link.with_name(f".{link.name}.partial")
    made.unlink(missing_ok=True)
    made.symlink_to(target, target_is_directory=True)
    made.replace(link)


def _sync(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        else:
            _sync_folder(path)
    _sync_folder(folder)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Replaces the file at once, so that no half of it is ever read."""
    made = path.with_name(f".{path.name}.partial")
    made.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    made.replace(path)


def write_tensors(path: Path, tensors: Mapping[str, torch.Tensor]) -> None:
    """As safetensors, each by its name."""
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """What write_tensors wrote. Raises CheckpointError for anything else."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"expected tensors of a checkpoint at {path}: {error}") from error


def optimizers_tensors(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, torch.Tensor]:
    """The optimizers' states as `parameter|entry`, gathered from all devices by the first process; the others get nothing."""
    states: Any = get_optimizer_state_dict(model, optimizers, options=_TO_FIRST).get("state", {})
    return {f"{name}|{entry}": value for name, state in states.items() for entry, value in state.items()}


def restore_optimizers(model: nn.Module, optimizers: Sequence[torch.optim.Optimizer], tensors: Mapping[str, torch.Tensor]) -> None:
    """The reverse, for optimizers over the same parameters. Raises CheckpointError for the state of one that they do not have."""
    known: Any = get_optimizer_state_dict(model, optimizers, options=_WHOLE)
    states: dict[str, Any] = {}
    for key, tensor in tensors.items():
        name, _, entry = key.rpartition("|")
        states.setdefault(name, {})[entry] = tensor
    parameters = {name for group in known["param_groups"] for name in group["params"]}
    if foreign := sorted(set(states) - parameters):
        raise CheckpointError(f"expected optimizer state of parameters that are trained; got some of {foreign[0]!r}")
    # Not strict: a parameter that never had a gradient has no state, such as an adapter's under CTC alone.
    set_optimizer_state_dict(model, optimizers, {**known, "state": states}, options=StateDictOptions(full_state_dict=True, strict=False))


def random_tensors() -> dict[str, torch.Tensor]:
    """The state of torch's generators: CPU, and this process's CUDA devices."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), **{f"cuda:{place}": state for place, state in enumerate(cuda)}}


def restore_random(tensors: Mapping[str, torch.Tensor]) -> None:
    """The reverse; devices that are not there any more are left out."""
    torch.set_rng_state(tensors["cpu"])
    for place in range(torch.cuda.device_count()):
        if f"cuda:{place}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda:{place}"], place)
