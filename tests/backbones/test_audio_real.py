"""The same obligations on real weights: Whisper tiny.en in CTranslate2's format, in the folder that PROACTIVELLM_WHISPER names."""

import os
from pathlib import Path

import pytest
import torch
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from backbones.audio_encoder import AudioEncoder
from backbones.audio_weights import build, load_encoder, save_encoder
from tests.backbones.audio import CAUSAL, frames, stream

FOLDER = os.environ.get("PROACTIVELLM_WHISPER", "")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not FOLDER, reason="PROACTIVELLM_WHISPER names no folder with model.bin")]


@pytest.fixture(scope="module")
def whisper() -> AudioEncoder:
    return load_encoder(FOLDER)


def hugging_face(encoder: AudioEncoder, attention: str) -> WhisperEncoder:
    """transformers' encoder with the same weights, its products apart again."""
    shape, weights = encoder.config, encoder.state_dict()
    names = {"attention_norm": "self_attn_layer_norm", "ffn_norm": "final_layer_norm", "out": "self_attn.out_proj"}
    found = {name: tensor for name, tensor in weights.items() if not name.startswith("layers.")}
    for name, tensor in weights.items():
        if not name.startswith("layers."):
            continue
        _, layer, part, kind = name.split(".")
        prefix = f"layers.{layer}."
        if part != "qkv":
            found[f"{prefix}{names.get(part, part)}.{kind}"] = tensor
            continue
        for product, piece in zip("qkv", tensor.chunk(3), strict=True):
            if (product, kind) == ("k", "bias"):
                assert not piece.any()  # keys have no bias
            else:
                found[f"{prefix}self_attn.{product}_proj.{kind}"] = piece
    config = WhisperConfig(
        num_mel_bins=shape.bins,
        d_model=shape.width,
        encoder_layers=shape.layers,
        encoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.ffn,
        max_source_positions=shape.positions,
        attn_implementation=attention,
    )
    made = WhisperEncoder(config).eval()
    made.load_state_dict(found)
    return made


@pytest.mark.parametrize("attention", [CAUSAL, "eager"])
def test_30_seconds_equal_hugging_faces_under_the_same_mask(whisper: AudioEncoder, attention: str) -> None:
    """In float64: Whisper's channels reach 13, and two orders of the same sums differ by 2e-5 of that in float32."""
    plain = whisper.config.model_copy(update={"pool": 1, "restart_after": whisper.config.positions})
    ours = build(plain, whisper.state_dict()).eval().double()
    mel = frames(2 * plain.positions)
    with torch.inference_mode():
        expected = hugging_face(whisper, attention).double()(mel.values.T[None].double()).last_hidden_state[0]
        if attention == "eager":  # no mask
            found = ours.whole([mel], causal=False)[0].embeddings
        else:
            found = stream(ours, mel, [0, 1, 78, 1001, 1777, len(mel.seen)]).embeddings
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize("at", [[0, 2500], [*range(0, 2500, 40), 2500], [0, 3, 4, 999, 2101, 2500]])
def test_any_chunking_gives_the_one_shot_tokens(whisper: AudioEncoder, at: list[int]) -> None:
    mel = frames(2500)  # 25 s: a window restarts
    found, whole = stream(whisper, mel, at), whisper.whole([mel])[0]
    torch.testing.assert_close(found.embeddings, whole.embeddings, atol=1e-5 * float(whole.embeddings.abs().max()), rtol=0)
    assert found.seen == whole.seen


def test_the_converted_encoder_takes_17_mb_and_gives_the_same(whisper: AudioEncoder, tmp_path: Path) -> None:
    save_encoder(load_encoder(FOLDER, dtype=torch.float16), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 17_000_000
    expected, found = (stream(model, frames(100), [0, 100]).embeddings for model in (whisper, load_encoder(str(tmp_path))))
    torch.testing.assert_close(found, expected, atol=0, rtol=0)  # the file was float16 before
