"""Checkpoints on disk: whole or not at all, thinned out, and an optimizer that goes on as if nothing had been."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import nn

from errors import CheckpointError
from training import state
from training.config import Optimizer
from training.optimizers import optimizers


def write(folder: Path, value: float = 1.0) -> None:
    (folder / "model").mkdir()
    state.write_tensors(folder / "weights.safetensors", {"w": torch.full((1000,), value)})


def test_the_newest_are_kept_and_the_link_leads_to_the_last(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        state.save(tmp_path, step, write, keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "step-00000010", "step-00000015"]
    assert (tmp_path / "model").resolve() == tmp_path / "step-00000015" / "model"
    assert state.latest(tmp_path) == tmp_path / "step-00000015"


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """No file grows beyond `size` bytes, which is what a full disk looks like."""
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_old_checkpoint_and_nothing_else(tmp_path: Path) -> None:
    with no_room(2000), pytest.raises(CheckpointError, match="there is none yet"):
        state.save(tmp_path, 1, write, keep=1)
    assert state.latest(tmp_path) is None
    old = state.save(tmp_path, 5, write, keep=1)
    with no_room(2000), pytest.raises(CheckpointError, match=r"the last one is as it was: .*step-00000005 stands"):
        state.save(tmp_path, 10, write, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "step-00000005"]
    assert state.latest(tmp_path) == old
    assert float(state.read_tensors(old / "weights.safetensors")["w"][0]) == 1.0


def test_half_a_checkpoint_is_no_checkpoint_and_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".step-00000005.partial" / "model").mkdir(parents=True)
    assert state.latest(tmp_path) is None
    state.save(tmp_path, 5, write, keep=1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "step-00000005"]


def test_what_are_no_tensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"no tensors")
    with pytest.raises(CheckpointError, match=r"x\.safetensors"):
        state.read_tensors(tmp_path / "x.safetensors")


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_optimizers_go_on_to_the_bit(tmp_path: Path, name: Literal["adamw", "muon"]) -> None:
    def fresh() -> tuple[nn.Module, list[torch.optim.Optimizer]]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
        return model, optimizers(model, Optimizer(name=name, lr=0.1, weight_decay=0.1))

    def steps(model: nn.Module, movers: list[torch.optim.Optimizer], numbers: range) -> None:
        for number in numbers:
            model(torch.arange(4.0) * number).square().sum().backward()
            for optimizer in movers:
                optimizer.step()
                optimizer.zero_grad()

    whole, movers = fresh()
    steps(whole, movers, range(3))
    state.write_tensors(tmp_path / "o", state.optimizers_tensors(whole, movers))
    weights = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    steps(whole, movers, range(3, 6))
    again, others = fresh()
    again.load_state_dict(weights)
    state.restore_optimizers(again, others, state.read_tensors(tmp_path / "o"))
    assert all(torch.equal(weights[name], tensor) for name, tensor in again.state_dict().items())
    steps(again, others, range(3, 6))
    assert all(torch.equal(mine, its) for mine, its in zip(whole.parameters(), again.parameters(), strict=True))
    foreign = {f"9.{name}": tensor for name, tensor in state.read_tensors(tmp_path / "o").items()}
    with pytest.raises(CheckpointError, match=r"of parameters that are trained; got some of '9\.0\.bias'"):
        state.restore_optimizers(again, others, foreign)


def test_torchs_generator_goes_on_where_it_was() -> None:
    before = state.random_tensors()
    drawn = torch.rand(3)
    state.restore_random(before)
    assert torch.equal(torch.rand(3), drawn)
