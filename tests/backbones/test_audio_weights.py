"""Encoders from and to disk: the same weights by every way in, and a refusal that says what was looked for."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig, WhisperModel

from backbones.audio_config import CONFIG_FILE
from backbones.audio_weights import WEIGHTS_FILE, build, load_encoder, save_encoder
from errors import CheckpointError
from tests import tiny
from tests.backbones.audio import CONFIG, encoder, frames, stream
from tests.backbones.ctranslate2 import whisper, write


@pytest.fixture
def hugging_face(tmp_path: Path) -> WhisperModel:
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=64,
        num_mel_bins=80,
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=48,
        max_source_positions=24,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=48,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
    )
    model = WhisperModel(config).eval()
    model.save_pretrained(tmp_path)
    return model


def test_what_is_saved_is_loaded_with_its_projector(tmp_path: Path) -> None:
    save_encoder(encoder(), tmp_path / "made")
    loaded = load_encoder(str(tmp_path / "made"))
    assert loaded.config == CONFIG
    expected, found = (stream(model, frames(99), [0, 50, 99]).embeddings for model in (encoder(), loaded))
    torch.testing.assert_close(found, expected, atol=0, rtol=0)
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_a_whisper_folder_is_loaded_with_its_own_weights(tmp_path: Path, hugging_face: WhisperModel) -> None:
    loaded = load_encoder(str(tmp_path))
    assert loaded.config.projector is None
    found = build(loaded.config.model_copy(update={"pool": 1}), loaded.state_dict()).eval().whole([frames(48)], causal=False)[0]
    expected = hugging_face.encoder(frames(48).values.T[None]).last_hidden_state[0]
    torch.testing.assert_close(found.embeddings, expected, atol=1e-5, rtol=0)


def test_model_bin_is_loaded_in_the_dtype_asked_for(tmp_path: Path) -> None:
    write(tmp_path, whisper())
    loaded = load_encoder(str(tmp_path), dtype=torch.float32)
    assert loaded.dtype is torch.float32
    weight = whisper()["encoder/layer_1/ffn/linear_0/weight"].float()
    torch.testing.assert_close(loaded.state_dict()["layers.1.fc1.weight"], weight, atol=0, rtol=0)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda weights: weights.pop("layers.1.fc1.bias"), r"missing \['layers.1.fc1.bias'\]"),
        (lambda weights: weights.update({"decoder.x": torch.zeros(1)}), r"unknown \['decoder.x'\]"),
        (lambda weights: weights.update({"conv1.bias": torch.zeros(31)}), r"expected conv1.bias of shape \[32\], got \[31\]"),
    ],
)
def test_weights_that_are_not_the_configs_are_named(tmp_path: Path, change: object, told: str) -> None:
    save_encoder(encoder(), tmp_path)
    weights = load_file(tmp_path / WEIGHTS_FILE)
    change(weights)  # type: ignore[operator]
    save_file(weights, tmp_path / WEIGHTS_FILE)
    with pytest.raises(CheckpointError, match=told):
        load_encoder(str(tmp_path))


def test_other_places_are_told_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected audio_encoder.json, model.bin or a Whisper model"):
        load_encoder(str(tmp_path))
    tiny.model("llama", attn="eager").save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="it is a model of type 'llama'"):
        load_encoder(str(tmp_path))
    (tmp_path / CONFIG_FILE).write_text(CONFIG.model_dump_json())
    (tmp_path / WEIGHTS_FILE).write_bytes(b"not safetensors")
    with pytest.raises(CheckpointError, match=f"expected {WEIGHTS_FILE} in"):
        load_encoder(str(tmp_path))


def test_a_whisper_folder_that_lacks_a_weight_is_refused(tmp_path: Path, hugging_face: WhisperModel) -> None:
    weights = {name: tensor.clone() for name, tensor in hugging_face.state_dict().items() if name != "encoder.layers.1.fc1.bias"}
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"missing \['encoder.layers.1.fc1.bias'\]"):
        load_encoder(str(tmp_path))


def test_another_activation_is_refused(tmp_path: Path, hugging_face: WhisperModel) -> None:
    hugging_face.config.activation_function = "relu"
    hugging_face.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="activation gelu, got 'relu'"):
        load_encoder(str(tmp_path))
