"""config.toml of a training run, as values. Knows names and ranges; reads no data and loads no model."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from backbones.checkpoint import Template
from errors import InvalidValueError, first_fault
from tasks import Task
from training.augmentation import Augmentation
from training.budget import Budget
from training.objective import Loss

Share = Annotated[float, Field(ge=0, le=1)]
# What may change between a run and its continuation: how often it speaks and saves, not what it learns.
OPERATIONAL = {"run": {"keep", "checkpoint_minutes", "checkpoint_steps", "log_steps", "shard_size", "workers"}}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Fresh(_Part):
    """A model trained from nothing. Its byte-level BPE tokenizer is learnt from the training data.

    architecture: a model type of transformers; sizes: fields of its configuration, without the vocabulary's size
    vocabulary:   tokens, among them the 256 bytes and the parts of the template, each of which is one token
    """

    architecture: str = "qwen2"
    vocabulary: int = Field(default=8192, ge=300)
    sizes: dict[str, Any]


class Model(_Part):
    """What is trained: `base` (a folder, a .gguf file, `package:NAME/FILE.gguf`, a hub name) or `fresh`.

    layers: only the first so many of the base's layers; vocabulary: only so many of its tokens (training/vocabulary.py)
    The others go into proactivellm.json; where absent, the base's own stand.
    """

    base: str | None = None
    fresh: Fresh | None = None
    layers: int | None = Field(default=None, ge=1)
    vocabulary: int | None = Field(default=None, ge=1)
    name: str | None = None
    offset: int | None = Field(default=None, ge=0)
    system: str | None = None
    template: Template | None = None

    @model_validator(mode="after")
    def _one_of_base_and_fresh(self) -> "Model":
        if (self.base is None) == (self.fresh is None):
            raise ValueError("expected either base or fresh")
        if self.fresh and self.template is None:
            raise ValueError("expected a template for a fresh model")
        return self


class Lora(_Part):
    """Low-rank adapters on the linear layers named `targets`; `merge` writes served checkpoints with the adapters added in.

    first_layer: layers before it stay as they are; there is no backward pass through them
    """

    r: int = Field(default=16, ge=1)
    alpha: int = Field(default=32, ge=1)
    dropout: Share = 0.0
    first_layer: int = Field(default=0, ge=0)
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
    merge: bool = False


class Audio(_Part):
    """What makes a model hear.

    encoder:     a folder or hub name (backbones/audio_weights.py); absent: the base's own
    projector:   hidden width of a new projector to the backbone's width; absent: one linear layer
    posteriors:  whether the backbone gets mixtures of its own embeddings, weighted by CTC's probabilities
                 (backbones/audio_posteriors.py); absent: as the base
    compress:    with posteriors, whether blanks and repeats are left out, as CTC does: a source that is heard takes some five times fewer
                 rows. Absent: as the base
    train:       `projector` alone, or `all` of the encoder
    lr:          of the encoder without its projector, relative to the optimizer's; Muon takes none of it
    block_ms:    so much of what is heard waits for each other, and is heard with what comes later of it; as long as `decision_ms` it costs
                 no lag (docs/audio.md). 20: the causal mask. Absent: as the encoder
    decision_ms: goes into proactivellm.json; read budgets are drawn on the same grid. Absent: the base's
    dtype:       of the encoder that is written
    teacher:     an encoder as `encoder`, for `hindsight` of [loss]: what it hears with the whole recording in view is learned
    """

    encoder: str | None = None
    teacher: str | None = None
    projector: int | None = Field(default=None, ge=1)
    posteriors: bool | None = None
    compress: bool | None = None
    train: Literal["projector", "all"] = "all"
    lr: float = Field(default=1.0, gt=0)
    block_ms: int | None = Field(default=None, ge=20, multiple_of=20)
    decision_ms: int | None = Field(default=None, ge=40, multiple_of=40)
    dtype: Literal["float16", "bfloat16", "float32"] = "float16"
    augmentation: Augmentation = Augmentation()


class Data(_Part):
    """One data set: a reference as `tasks.data.read_data` takes it, and the task it is trained for.

    weight: its share of the items drawn, relative to the others'; default: the number of its items
    limit:  only the first so many items, of those of at most `max_words` source words. Words of a recording are not counted
    join:   how often one, two, three, … items are joined to one; default: always one. Recordings are not joined, nor carried
    trailing_blank: how often the source ends in a blank, as that of a client that ends every word with one does
    carried: how often an item begins with the last sentence of another, source and target, as a slot does that a stream goes on in
             (docs/streams.md); there is no loss on it
    """

    data: str
    task: str
    weight: float | None = Field(default=None, gt=0)
    limit: int | None = Field(default=None, ge=1)
    max_words: int | None = Field(default=None, ge=1)
    join: tuple[Share, ...] = (1.0,)
    trailing_blank: Share = 0.25
    carried: Share = 0.0

    @model_validator(mode="after")
    def _join_is_a_distribution(self) -> "Data":
        if abs(sum(self.join) - 1) > 1e-6:
            raise ValueError(f"expected the probabilities of join to sum to 1, got {sum(self.join):g}")
        return self


class Optimizer(_Part):
    """Under a cosine schedule. warmup: share of the run in which the rate rises; floor: what is left at the end, of `lr`.

    name: `adamw`; or `muon`, for models from nothing: Muon (Jordan et al. 2024) for the matrices between embedding and `lm_head`, with
          updates as large as AdamW's (Liu et al. 2025, "Muon is scalable for LLM training"), so that both share `lr`; AdamW for the rest
    """

    name: Literal["adamw", "muon"] = "adamw"
    lr: float = Field(default=1e-3, gt=0)
    warmup: Share = 0.03
    floor: Share = 0.0
    betas: tuple[float, float] = (0.9, 0.95)
    weight_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)


class Run(_Part):
    """How long, how large, where to.

    out:          folder of the run; `out/model` is the newest served checkpoint
    steps, max_tokens: the end, whichever is given: optimizer steps, or source and target tokens, each counted once however many its views;
                  an audio token of 40 ms is one too
    batch_tokens: packed rows of one forward, padding included; accumulation: forwards of one step
    keep:         checkpoints that are kept
    dtype:        of the arithmetic; auto: bfloat16 where the device multiplies it natively, else float32
    workers:      processes that make batches ahead, where a device is faster than one; 0: the run makes them itself, when due
    shard_size:   largest weights file that is written
    """

    out: Path
    seed: int = Field(default=0, ge=0)
    steps: int | None = Field(default=None, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    batch_tokens: int = Field(default=2048, ge=1)
    accumulation: int = Field(default=1, ge=1)
    checkpoint_minutes: float = Field(default=10, gt=0)
    checkpoint_steps: int | None = Field(default=None, ge=1)
    keep: int = Field(default=2, ge=1)
    log_steps: int = Field(default=10, ge=1)
    dev_steps: int = Field(default=500, ge=1)
    device: Literal["auto", "cpu"] = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    threads: int | None = Field(default=None, ge=1)
    workers: int = Field(default=0, ge=0)
    gradient_checkpointing: bool = False
    compile: bool = False
    shard_size: str = "5GB"

    @model_validator(mode="after")
    def _one_end(self) -> "Run":
        if (self.steps is None) == (self.max_tokens is None):
            raise ValueError("expected either steps or max_tokens")
        return self


class Config(_Part):
    """All of config.toml. `tasks` go into proactivellm.json; absent: those of the base."""

    model: Model
    data: tuple[Data, ...] = Field(min_length=1)
    run: Run
    lora: Lora | None = None
    audio: Audio | None = None
    dev: tuple[Data, ...] = ()
    tasks: dict[str, Task] | None = None
    budget: Budget = Budget()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()

    @model_validator(mode="after")
    def _something_to_learn(self) -> "Config":
        if not self.loss.copies and not self.loss.ctc and not self.loss.hindsight:
            raise ValueError("expected at least one of loss.batch, loss.mslm, loss.spsd, loss.ctc and loss.hindsight")
        if bool(self.loss.hindsight) != bool(self.audio and self.audio.teacher):
            raise ValueError("expected loss.hindsight and audio.teacher together, got one of them")
        if self.loss.hindsight and self.audio and self.audio.train != "all":
            raise ValueError(
                f"expected audio.train = 'all' with loss.hindsight, which the projector cannot learn; got {self.audio.train!r}"
            )
        return self

    @model_validator(mode="after")
    def _no_lora_on_a_fresh_model(self) -> "Config":
        if self.lora and self.model.fresh:
            raise ValueError("expected lora with a base, got it with a fresh model")
        for name in ("layers", "vocabulary"):
            if getattr(self.model, name) and (self.model.fresh or (self.lora and not self.lora.merge)):
                what = f"model.{name} with a base whose weights are written"
                raise ValueError(f"expected {what}, got it with a fresh model or adapters alone")
        return self


def read_config(path: Path) -> Config:
    """Raises InvalidValueError naming the field at fault, or the line where the file is no TOML."""
    try:
        return Config.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidValueError(f"expected a TOML file at {path}: {error}", param="config") from None
    except ValidationError as error:
        where, told = first_fault(error, "config")
        raise InvalidValueError(f"{path}, {where}: {told}", param=where) from None


def lasting(config: Config) -> dict[str, Any]:
    """What a continuation must share with the run that it continues, as JSON values."""
    return config.model_dump(mode="json", by_alias=True, exclude=OPERATIONAL)


def restated(written: Mapping[str, Any]) -> dict[str, Any]:
    """What `lasting` gave for an earlier run, as it would be now: fields that came since have their defaults, others stand as they are."""
    ours = {name: value for name, value in written.items() if name in Config.model_fields}
    try:
        return {**written, **lasting(Config.model_validate(ours))}
    except ValidationError:  # of a field that is no more: `difference` will name it
        return dict(written)


def difference(ours: Any, theirs: Any, where: str = "") -> str | None:
    """The first field in which two JSON values differ, as `field: ours, theirs`; None if there is none."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        pairs = [(str(key), ours.get(key), theirs.get(key)) for key in {**ours, **theirs}]
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        pairs = [(str(place), *pair) for place, pair in enumerate(zip(ours, theirs, strict=True))]
    else:
        return None if ours == theirs else f"{where}: {ours!r} now, {theirs!r} then"
    found = (difference(mine, its, f"{where}.{key}" if where else key) for key, mine, its in pairs)
    return next((text for text in found if text), None)
