"""The encoder inside CTranslate2's model.bin, the format of faster-whisper. Knows that format; knows no stream and runs no model.

The file, little-endian: version u32, spec name, revision u32, number of variables u32, the variables, then aliases (of the decoder's).
A variable: name, rank u8, dimensions u32 each, type u8, length in bytes u32, data. A name: length u16, bytes that end in a NUL.
"""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import torch

from backbones.audio_config import EncoderConfig
from errors import CheckpointError

FILE = "model.bin"
VERSIONS = range(4, 7)  # before 4, types were told by their size only
SPEC = "WhisperSpec"
PREFIX = "encoder/"
_DTYPES = {0: torch.float32, 1: torch.int8, 2: torch.int16, 3: torch.int32, 4: torch.float16, 5: torch.bfloat16}
_NAMES = {
    "self_attention/layer_norm/gamma": "attention_norm.weight",
    "self_attention/layer_norm/beta": "attention_norm.bias",
    "self_attention/linear_0/weight": "qkv.weight",
    "self_attention/linear_0/bias": "qkv.bias",
    "self_attention/linear_1/weight": "out.weight",
    "self_attention/linear_1/bias": "out.bias",
    "ffn/layer_norm/gamma": "ffn_norm.weight",
    "ffn/layer_norm/beta": "ffn_norm.bias",
    "ffn/linear_0/weight": "fc1.weight",
    "ffn/linear_0/bias": "fc1.bias",
    "ffn/linear_1/weight": "fc2.weight",
    "ffn/linear_1/bias": "fc2.bias",
    "conv1/weight": "conv1.weight",
    "conv1/bias": "conv1.bias",
    "conv2/weight": "conv2.weight",
    "conv2/bias": "conv2.bias",
    "position_encodings/encodings": "embed_positions.weight",
    "layer_norm/gamma": "layer_norm.weight",
    "layer_norm/beta": "layer_norm.bias",
}


def encoder(path: Path) -> tuple[EncoderConfig, dict[str, torch.Tensor]]:
    """Shape and weights, in the file's dtype, under our names. Raises CheckpointError for any other file, and for quantised weights."""
    try:
        with path.open("rb") as file:
            variables = dict(_variables(file, path.stat().st_size))
    except (OSError, UnicodeDecodeError) as error:
        raise CheckpointError(f"expected a Whisper model of CTranslate2 at {path}: {error}") from error
    heads = variables.pop("num_heads", None)
    weights = {_name(name): tensor for name, tensor in variables.items() if tensor.ndim}  # scalars are settings
    quantised = sorted(name for name, tensor in weights.items() if not tensor.is_floating_point())
    if quantised:
        raise CheckpointError(f"expected weights in float32, float16 or bfloat16; got {weights[quantised[0]].dtype} in {quantised[0]}")
    try:
        width, bins, _ = weights["conv1.weight"].shape
        config = EncoderConfig(
            bins=bins,  # type: ignore[arg-type]  # the config says what it expects
            width=width,
            layers=sum(name.endswith(".fc1.weight") for name in weights),
            heads=int(heads) if heads is not None else 0,
            ffn=weights["layers.0.fc1.weight"].shape[0],
            positions=weights["embed_positions.weight"].shape[0],
        )
    except (KeyError, ValueError) as error:
        raise CheckpointError(f"expected the encoder of a Whisper model in {path}: {error}") from error
    return config, weights


def _name(theirs: str) -> str:
    """`layer_0/ffn/linear_0/bias` -> `layers.0.fc1.bias`; what is unknown stays, and is told when the encoder is built."""
    head, _, rest = theirs.partition("/")
    if head.startswith("layer_") and head.removeprefix("layer_").isdigit():
        return f"layers.{head.removeprefix('layer_')}.{_NAMES.get(rest, rest)}"
    return _NAMES.get(theirs, theirs)


def _variables(file: BinaryIO, size: int) -> Iterator[tuple[str, torch.Tensor]]:
    """The encoder's, without the prefix; all others are skipped."""
    (version,) = _unpack(file, "I")
    if version not in VERSIONS:
        raise CheckpointError(f"expected {FILE} of version {VERSIONS.start} to {VERSIONS.stop - 1}, got {version}")
    spec = _string(file)
    if spec != SPEC:
        raise CheckpointError(f"expected {FILE} of a {SPEC}, got {spec[:40]!r}")
    _, count = _unpack(file, "II")
    for _ in range(count):
        name = _string(file)
        (rank,) = _unpack(file, "B")
        shape = _unpack(file, f"{rank}I")
        kind, length = _unpack(file, "BI")
        dtype = _DTYPES.get(kind)
        if dtype is None or length != math.prod(shape) * dtype.itemsize or length > size - file.tell():
            raise CheckpointError(f"expected {FILE} to hold {name[:80]!r} of shape {list(shape)}, got type {kind} and {length} bytes of it")
        if name.startswith(PREFIX):
            yield name.removeprefix(PREFIX), torch.frombuffer(bytearray(file.read(length)), dtype=dtype).reshape(shape)
        else:
            file.seek(length, 1)


def _string(file: BinaryIO) -> str:
    (length,) = _unpack(file, "H")
    return _take(file, length).rstrip(b"\0").decode()


def _unpack(file: BinaryIO, form: str) -> tuple[int, ...]:
    form = f"<{form}"
    return struct.unpack(form, _take(file, struct.calcsize(form)))


def _take(file: BinaryIO, length: int) -> bytes:
    data = file.read(length)
    if len(data) < length:
        raise CheckpointError(f"expected {length} more bytes in {FILE}, got {len(data)}")
    return data
