"""The two files that make a Hugging Face folder a checkpoint of ours: proactivellm.json and tiers.json.

Knows their format and nothing of weights. Both are optional: a plain model folder gets the defaults.
"""

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from errors import CheckpointError
from tasks import DEFAULT_TASKS, Task

CONFIG_FILE = "proactivellm.json"
TIERS_FILE = "tiers.json"


class Template(BaseModel):
    """The text around prompt and stream, for models whose tokenizer has no chat template.

    before + PROMPT + SOURCE + source_end is the source group, header + TARGET + end the target group. Special tokens are written out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    before: str = ""
    source_end: str = "\n"
    header: str = "\n"
    end: str | None = Field(default=None, description="default: the tokenizer's end-of-sequence token")


class CheckpointConfig(BaseModel):
    """proactivellm.json.

    backbone:        where the weights are if not in this folder: a hub name, a path, or `package:NAME/FILE.gguf`
    offset:          first position of the target group (DESIGN section 4)
    attention_heads: (layer, head) pairs that attention signals are averaged over; None: every head of the middle layer
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    name: str | None = None
    backbone: str | None = None
    offset: int = Field(default=0, ge=0)
    unit: Literal["word"] = "word"
    attention_heads: tuple[tuple[int, int], ...] | None = None
    system: str | None = None
    template: Template | None = None
    tasks: dict[str, Task] = Field(default_factory=lambda: dict(DEFAULT_TASKS))


class Tier(BaseModel):
    """A named threshold. `target` and `achieved` are mean RCO on development data; hand-set values say `calibrated: false`."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    threshold: float
    target: float | None = None
    achieved: float | None = None
    calibrated: bool


T = TypeVar("T")
Tiers = dict[str, dict[str, dict[str, Tier]]]  # task -> head -> tier
_TIERS: TypeAdapter[Tiers] = TypeAdapter(Tiers)
_CONFIG: TypeAdapter[CheckpointConfig] = TypeAdapter(CheckpointConfig)


def read_config(folder: Path) -> CheckpointConfig:
    """proactivellm.json of a folder, or the defaults. Raises CheckpointError with the field at fault."""
    return _read(folder / CONFIG_FILE, _CONFIG) or CheckpointConfig()


def read_tiers(folder: Path) -> Tiers:
    """tiers.json of a folder, or no tiers. Raises CheckpointError with the field at fault."""
    return _read(folder / TIERS_FILE, _TIERS) or {}


def _read(path: Path, adapter: TypeAdapter[T]) -> T | None:
    if not path.exists():
        return None
    try:
        return adapter.validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"]) or "file"
        raise CheckpointError(f"{path.name} in {path.parent.name}: {where}: {fault['msg']}", param=where) from None
