"""Low-rank adapters (LoRA, Hu et al. 2021) as peft writes them: read from safetensors, added to a model's weights or served beside them.

Knows files and linear layers by name; knows nothing of training, and never reads a pickle.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from errors import CheckpointError, first_fault

WEIGHTS_FILE, CONFIG_FILE, PICKLE_FILE = "adapter_model.safetensors", "adapter_config.json", "adapter_model.bin"
_BEFORE, _DOWN, _UP = "base_model.model.", ".lora_A.weight", ".lora_B.weight"


class Settings(BaseModel):
    """What adapter_config.json says of the arithmetic. Kinds of LoRA that compute something else are refused, not left out in silence."""

    peft_type: Literal["LORA"]
    r: int = Field(ge=1)
    lora_alpha: float = Field(gt=0, allow_inf_nan=False)
    use_rslora: bool = False
    use_dora: Literal[False] = False
    fan_in_fan_out: Literal[False] = False
    bias: Literal["none"] = "none"
    alora_invocation_tokens: None = None
    # Others change the base's weights before training (PiSSA, OLoRA, LoftQ, …), and only peft knows how.
    init_lora_weights: bool | Literal["gaussian", "eva", "orthogonal"] = True
    rank_pattern: dict[str, int] = Field(default_factory=dict, max_length=0)
    alpha_pattern: dict[str, float] = Field(default_factory=dict, max_length=0)

    @property
    def scale(self) -> float:
        """What B A is multiplied by: alpha / r, or alpha / sqrt(r) (rsLoRA, Kalajdzievski 2023)."""
        return self.lora_alpha / (sqrt(self.r) if self.use_rslora else self.r)


@dataclass(frozen=True)
class LowRank:
    """The change of one layer's weights, scale * up @ down. down: [r, in]; up: [out, r]."""

    down: torch.Tensor
    up: torch.Tensor
    scale: float

    def delta(self, device: torch.device) -> torch.Tensor:
        """[out, in], float32."""
        return self.scale * (self.up.to(device, torch.float32) @ self.down.to(device, torch.float32))


class AdaptedLinear(nn.Module):
    """A linear layer with its adapter beside it, W x + scale B A x: [..., in] -> [..., out]."""

    def __init__(self, plain: nn.Linear, change: LowRank) -> None:
        super().__init__()
        self.plain = plain
        # Linear layers of their own, so that they are packed as the plain one is.
        self.down = _linear(change.down, plain.weight)
        self.up = _linear(change.scale * change.up.float(), plain.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[..., in] -> [..., out]."""
        out: torch.Tensor = self.plain(x) + self.up(self.down(x))
        return out


def held(folder: Path) -> bool:
    """True for a folder that holds an adapter, or what claims to be one."""
    return any((folder / name).exists() for name in (WEIGHTS_FILE, CONFIG_FILE, PICKLE_FILE))


def read(folder: Path) -> dict[str, LowRank]:
    """The changes by the name of their layer. Raises CheckpointError for no adapter, one of another kind, and ranks that disagree."""
    settings = _settings(folder)
    tensors = _tensors(folder)
    names = {name.removeprefix(_BEFORE).removesuffix(_DOWN).removesuffix(_UP) for name in tensors}
    wanted = {f"{_BEFORE}{name}{side}" for name in names for side in (_DOWN, _UP)}
    if odd := sorted(wanted ^ tensors.keys()):
        raise CheckpointError(f"expected pairs of lora_A and lora_B of linear layers in {folder / WEIGHTS_FILE}; no pair: {odd[0]}")
    found = {}
    for name in sorted(names):
        change = LowRank(tensors[f"{_BEFORE}{name}{_DOWN}"], tensors[f"{_BEFORE}{name}{_UP}"], settings.scale)
        ranks = change.down.shape[0], change.up.shape[-1]
        if change.down.dim() != 2 or change.up.dim() != 2 or ranks != (settings.r, settings.r):
            raise CheckpointError(
                f"expected rank {settings.r} of {name}, as {CONFIG_FILE} in {folder} says; got lora_A {_shape(change.down)} "
                f"and lora_B {_shape(change.up)}"
            )
        found[name] = change
    return found


def apply(model: Any, changes: Mapping[str, LowRank], *, merge: bool, where: str = "the adapter") -> None:
    """Adds the changes to the model's weights, in float32 and then rounded to their dtype, or puts them beside those.

    Raises CheckpointError, naming `where`, for a model that has no such layers or layers of another shape; then nothing is changed.
    """
    layers = {name: _layer(model, name, change, where) for name, change in changes.items()}
    for name, layer in layers.items():
        change = changes[name]
        if merge:
            whole = layer.weight.detach().float() + change.delta(layer.weight.device)
            # A new parameter: an embedding that was tied to the old one stays as it is.
            layer.weight = nn.Parameter(whole.to(layer.weight.dtype), requires_grad=False)
        else:
            owner, _, last = name.rpartition(".")
            setattr(model.get_submodule(owner), last, AdaptedLinear(layer, change))


def _layer(model: Any, name: str, change: LowRank, where: str) -> nn.Linear:
    try:
        layer = model.get_submodule(name)
    except AttributeError:
        layer = None
    if type(layer) is not nn.Linear:
        raise CheckpointError(
            f"expected the base of {where} to have a linear layer {name}; got {type(layer).__name__ if layer else 'none'}"
        )
    expected = change.up.shape[0], change.down.shape[1]
    if layer.weight.shape != expected:
        raise CheckpointError(f"expected the base of {where} to have {name} of shape {_shape(expected)}; got {_shape(layer.weight)}")
    return layer


def _settings(folder: Path) -> Settings:
    path = folder / CONFIG_FILE
    try:
        return Settings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"expected the settings of an adapter at {path}: {error.strerror}") from None
    except ValidationError as error:
        where, told = first_fault(error, "file")
        raise CheckpointError(f"{path}: {where}: {told}; only plain LoRA is served", param=where) from None


def _tensors(folder: Path) -> dict[str, torch.Tensor]:
    path = folder / WEIGHTS_FILE
    if not path.exists():
        others = f"{PICKLE_FILE}, a pickle, which is never read" if (folder / PICKLE_FILE).exists() else "none"
        raise CheckpointError(f"expected {WEIGHTS_FILE} in {folder}; got {others}")
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"expected tensors of an adapter at {path}: {error}") from error
    if not found:
        raise CheckpointError(f"expected tensors of an adapter at {path}; got none")
    return found


def _linear(weight: torch.Tensor, like: torch.Tensor) -> nn.Linear:
    """Without a bias, on the device and in the dtype of `like`."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    layer.weight = nn.Parameter(weight.to(like.device, like.dtype).contiguous(), requires_grad=False)
    return layer


def _shape(of: torch.Tensor | tuple[int, ...]) -> str:
    return " x ".join(str(size) for size in (of.shape if isinstance(of, torch.Tensor) else of))
