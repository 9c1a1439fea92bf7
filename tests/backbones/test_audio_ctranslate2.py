"""CTranslate2's model.bin, written here byte by byte as its readers expect it, and files that are none."""

import struct
from pathlib import Path

import pytest
import torch

from backbones.audio_ctranslate2 import encoder
from errors import CheckpointError
from tests.backbones.ctranslate2 import whisper, write


def test_shape_and_weights_are_read_and_the_decoder_is_passed_over(tmp_path: Path) -> None:
    path = write(tmp_path, whisper())
    config, weights = encoder(path)
    assert (config.bins, config.width, config.layers, config.heads, config.ffn, config.positions) == (80, 32, 2, 4, 48, 24)
    assert weights["layers.1.qkv.weight"].dtype is torch.float16
    torch.testing.assert_close(weights["layers.1.qkv.weight"], whisper()["encoder/layer_1/self_attention/linear_0/weight"])
    torch.testing.assert_close(weights["embed_positions.weight"], whisper()["encoder/position_encodings/encodings"])
    assert not any("decoder" in name for name in weights)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"version": 3}, "version 4 to 6, got 3"),
        ({"version": 2**31}, "version 4 to 6"),
        ({"spec": "TransformerSpec"}, "expected model.bin of a WhisperSpec, got 'TransformerSpec'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    path = write(tmp_path, whisper(), **changes)  # type: ignore[arg-type]
    with pytest.raises(CheckpointError, match=told):
        encoder(path)


def test_quantised_weights_are_refused(tmp_path: Path) -> None:
    variables = whisper()
    variables["encoder/layer_0/ffn/linear_0/weight"] = torch.zeros(48, 32, dtype=torch.int8)
    with pytest.raises(CheckpointError, match=r"float32, float16 or bfloat16; got torch.int8 in layers.0.fc1.weight"):
        encoder(write(tmp_path, variables))


def test_a_file_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="expected the encoder of a Whisper model"):
        encoder(write(tmp_path, {"decoder/x": torch.zeros(2)}))


def test_a_file_cut_anywhere_in_the_encoder_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {name: tensor for name, tensor in whisper().items() if name.startswith("encoder")})
    data = path.read_bytes()
    for length in [*range(0, 200, 7), len(data) // 2, len(data) - 100]:
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError):
            encoder(path)


def test_a_length_that_lies_reads_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, {"encoder/conv1/bias": torch.zeros(4, dtype=torch.float16)})
    data = bytearray(path.read_bytes())
    at = data.index(b"conv1/bias\0") + len(b"conv1/bias\0") + 1
    data[at : at + 4] = struct.pack("<I", 2**31)
    path.write_bytes(bytes(data))
    with pytest.raises(CheckpointError, match="to hold 'encoder/conv1/bias' of shape"):
        encoder(path)
