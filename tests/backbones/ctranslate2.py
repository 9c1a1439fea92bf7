"""Writes CTranslate2's model.bin, with a tiny random Whisper in it. Knows no test."""

import struct
from collections.abc import Mapping
from pathlib import Path

import torch

TYPES = {torch.float32: 0, torch.int8: 1, torch.int16: 2, torch.int32: 3, torch.float16: 4}


def whisper() -> dict[str, torch.Tensor]:
    """An encoder of two layers in float16 with its settings, and a little of a decoder around it."""
    torch.manual_seed(0)
    width, ffn, bins, positions = 32, 48, 80, 24

    def weight(*shape: int) -> torch.Tensor:
        return torch.randn(shape).mul(0.2).half()

    found = {"decoder/embeddings/weight": weight(7, width), "encoder/num_heads": torch.tensor(4, dtype=torch.int16)}
    found |= {"encoder/conv1/weight": weight(width, bins, 3), "encoder/conv1/bias": weight(width)}
    found |= {"encoder/conv2/weight": weight(width, width, 3), "encoder/conv2/bias": weight(width)}
    norms, linears = ["encoder/layer_norm"], {}
    for layer in (0, 1):
        attention, feed = f"encoder/layer_{layer}/self_attention", f"encoder/layer_{layer}/ffn"
        norms += [f"{attention}/layer_norm", f"{feed}/layer_norm"]
        linears |= {f"{attention}/linear_0": (3 * width, width), f"{attention}/linear_1": (width, width)}
        linears |= {f"{feed}/linear_0": (ffn, width), f"{feed}/linear_1": (width, ffn)}
    for name, (out, into) in linears.items():
        found |= {f"{name}/weight": weight(out, into), f"{name}/bias": weight(out)}
    for name in norms:
        found |= {f"{name}/gamma": weight(width) + 1, f"{name}/beta": weight(width)}
    found["encoder/position_encodings/encodings"] = weight(positions, width)
    found["model/flag"] = torch.tensor(1, dtype=torch.int8)
    return found


def write(folder: Path, variables: Mapping[str, torch.Tensor], *, version: int = 6, spec: str = "WhisperSpec") -> Path:
    """`folder`/model.bin."""

    def text(value: str) -> bytes:
        data = value.encode() + b"\0"
        return struct.pack("<H", len(data)) + data

    parts = [struct.pack("<I", version), text(spec), struct.pack("<II", 3, len(variables))]
    for name, tensor in variables.items():
        data = tensor.numpy().tobytes()
        parts += [text(name), struct.pack(f"<B{tensor.ndim}I", tensor.ndim, *tensor.shape)]
        parts += [struct.pack("<BI", TYPES[tensor.dtype], len(data)), data]
    parts += [struct.pack("<I", 1), text("decoder/projection/weight"), text("decoder/embeddings/weight")]
    path = folder / "model.bin"
    path.write_bytes(b"".join(parts))
    return path
