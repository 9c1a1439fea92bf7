"""The two files that make a Hugging Face folder a checkpoint of ours: proactivellm.json and tiers.json.

Knows their format and nothing of weights. Both are optional: a plain model folder gets the defaults.
"""

import json
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from backbones import adapters
from errors import CheckpointError, first_fault
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
    offset:          first position of the target group (docs/architecture.md)
    unit:            of phi, tiers and `max_lag`: `ms` for a checkpoint that hears
    audio:           where its audio encoder is if not in this folder: a folder or hub name (backbones/audio_weights.py)
    listener:        the checkpoint that hears for this one, which reads what that one writes: a folder or hub name
    decision_ms:     a decision point opens after so much more audio: whole audio tokens of 40 ms
    attention_heads: (layer, head) pairs that attention signals are averaged over; None: every head of the middle layer
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    version: Literal[1] = 1
    name: str | None = None
    backbone: str | None = None
    offset: int = Field(default=0, ge=0)
    unit: Literal["word", "ms"] = "word"
    audio: str | None = None
    listener: str | None = None
    decision_ms: int = Field(default=400, ge=40, multiple_of=40)
    attention_heads: tuple[tuple[int, int], ...] | None = None
    system: str | None = None
    template: Template | None = None
    tasks: dict[str, Task] = Field(default_factory=lambda: dict(DEFAULT_TASKS))

    @model_validator(mode="after")
    def _hears_in_ms(self) -> Self:
        if self.audio is not None and self.listener is not None:
            raise ValueError("expected audio or listener, got both")
        for name in ("audio", "listener"):
            if getattr(self, name) is not None and self.unit != "ms":
                raise ValueError(f"expected unit ms beside {name}, got {self.unit}")
        return self


class Tier(BaseModel):
    """A named threshold. Hand-set values say `calibrated: false`.

    metric, target, achieved: the latency that is aimed at, and what development data gave: mean RCO, AIL or LAAL, or lag in ms
    data, date:               of the calibration: sha256 of the development data (tasks/data.py) and the day
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    threshold: float
    metric: Literal["rco", "ail", "laal", "lag"] = "rco"
    target: float | None = None
    achieved: float | None = None
    calibrated: bool
    data: str | None = None
    date: str | None = None


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


def write_tiers(folder: Path, task: str, head: str, tiers: Mapping[str, Tier]) -> None:
    """Puts the tiers of a task and head into tiers.json; all others stay. Raises CheckpointError for a file that is not valid."""
    known = read_tiers(folder)
    known.setdefault(task, {})[head] = dict(tiers)
    _write(folder / TIERS_FILE, _TIERS.dump_python(known, mode="json", exclude_none=True))


def write_attention_heads(folder: Path, pairs: Sequence[tuple[int, int]], stale: Container[str] = ()) -> None:
    """Puts the selected pairs into proactivellm.json; calibrated tiers of the heads in `stale` were made with others, and no longer are."""
    path = folder / CONFIG_FILE
    settings = json.loads(path.read_bytes()) if path.exists() else {}
    _write(path, {**settings, "attention_heads": sorted(map(list, pairs))})
    tiers = read_tiers(folder)
    for by_head in tiers.values():
        for head in by_head:
            if head in stale:
                by_head[head] = {name: tier.model_copy(update={"calibrated": False}) for name, tier in by_head[head].items()}
    if tiers:
        _write(folder / TIERS_FILE, _TIERS.dump_python(tiers, mode="json", exclude_none=True))


def copy_settings(reference: str, folder: Path) -> None:
    """Makes `folder` a checkpoint of the same model: its settings, if it has some, and a pointer to its weights. What is there stays."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / CONFIG_FILE).exists():
        return
    model = Path(reference)
    path = model / CONFIG_FILE
    settings = json.loads(path.read_bytes()) if path.exists() else {}
    own = None if adapters.held(model) else settings.get("backbone")  # the weights alone would be another model
    beside = model / own if own else model
    settings["backbone"] = str(beside.resolve()) if beside.exists() else own or reference
    for name in ("audio", "listener"):
        if place := settings.get(name):
            settings[name] = str((model / place).resolve()) if (model / place).exists() else place
    _write(folder / CONFIG_FILE, settings)
    if (model / TIERS_FILE).exists() and not adapters.held(folder):  # thresholds without an adapter are not those with one
        (folder / TIERS_FILE).write_bytes((model / TIERS_FILE).read_bytes())


def _write(path: Path, value: object) -> None:
    """In one step: whoever reads the folder meanwhile sees the old file or the new one."""
    made = path.with_name(path.name + ".new")
    made.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    made.replace(path)


def _read(path: Path, adapter: TypeAdapter[T]) -> T | None:
    if not path.exists():
        return None
    try:
        return adapter.validate_json(path.read_bytes())
    except ValidationError as error:
        where, told = first_fault(error, "file")
        raise CheckpointError(f"{path.name} in {path.parent.name}: {where}: {told}", param=where) from None
