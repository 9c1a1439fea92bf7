"""The mean of checkpoints: by hand, and what is no checkpoint of the same shape."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from errors import CheckpointError
from training.average import average


def saved(folder: Path, value: float, *, file: str = "model.safetensors", name: str = "w", size: int = 2) -> Path:
    folder.mkdir()
    save_file({name: torch.full((size,), value, dtype=torch.bfloat16), "b": torch.tensor([2 * value])}, folder / file)
    (folder / "config.json").write_text(f"of {folder.name}")
    return folder


def test_weights_are_averaged_and_the_rest_is_the_last_ones(tmp_path: Path) -> None:
    average([saved(tmp_path / "one", 1.0), saved(tmp_path / "two", 2.0), saved(tmp_path / "three", 6.0)], tmp_path / "mean")
    found = load_file(tmp_path / "mean" / "model.safetensors")
    assert found["w"].dtype == torch.bfloat16
    assert (found["w"].tolist(), found["b"].tolist()) == ([3.0, 3.0], [6.0])
    assert (tmp_path / "mean" / "config.json").read_text() == "of three"


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"file": "other.safetensors"}, "the same safetensors files"), ({"name": "v"}, "the same names"), ({"size": 3}, "the same names")],
)
def test_checkpoints_of_other_shapes_are_refused(tmp_path: Path, changes: dict[str, str], told: str) -> None:
    folders = [saved(tmp_path / "one", 1.0), saved(tmp_path / "two", 2.0, **changes)]  # type: ignore[arg-type]  # by name
    with pytest.raises(CheckpointError, match=told):
        average(folders, tmp_path / "mean")
    assert not (tmp_path / "mean").exists()


def test_nothing_is_written_over_and_nothing_is_made_of_one(tmp_path: Path) -> None:
    one, two = saved(tmp_path / "one", 1.0), saved(tmp_path / "two", 2.0)
    with pytest.raises(CheckpointError, match="not there yet"):
        average([one, two], two)
    with pytest.raises(CheckpointError, match="two folders or more"):
        average([one], tmp_path / "mean")
    (one / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="readable weights"):
        average([one, two], tmp_path / "mean")
