"""A tiny random Qwen2-Audio: our encoder, pooling, projector and its language model give what transformers gives under the same mask."""

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from transformers import Qwen2AudioConfig, Qwen2AudioEncoderConfig, Qwen2AudioForConditionalGeneration, Qwen2Config

from backbones import attention
from backbones.audio_qwen2 import load_qwen2_audio, split
from backbones.backbone import Backbone
from backbones.layout import SourceRun, TargetRow
from errors import CheckpointError
from tests import tiny
from tests.backbones.audio import frames, stream

AUDIO, POSITIONS = 63, 40  # the token that stands for audio; positions of the encoder, so twice as many frames and half as many tokens


@pytest.fixture(scope="module")
def model() -> Qwen2AudioForConditionalGeneration:
    torch.manual_seed(0)
    audio = Qwen2AudioEncoderConfig(
        num_mel_bins=128,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=48,
        d_model=32,
        max_source_positions=POSITIONS,
        initializer_range=0.2,
    )
    text = Qwen2Config(
        vocab_size=64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=128,
        initializer_range=0.2,
    )
    config = Qwen2AudioConfig(audio_config=audio.to_dict(), text_config=text.to_dict(), audio_token_index=AUDIO)
    return Qwen2AudioForConditionalGeneration(config).eval().requires_grad_(False)


def causal(model: Qwen2AudioForConditionalGeneration) -> Qwen2AudioForConditionalGeneration:
    """The same, whose encoder gets a causal mask whatever it is called with."""
    copied = deepcopy(model)
    copied.set_attn_implementation("eager")
    tower = copied.model.audio_tower
    mask = torch.full((POSITIONS, POSITIONS), -1e9).triu(1)[None, None]
    forward = tower.forward
    tower.forward = lambda input_features, attention_mask: forward(input_features, attention_mask=mask)
    return copied


def test_the_whole_model_gives_the_same_logits_under_a_causal_mask(model: Qwen2AudioForConditionalGeneration) -> None:
    mel = frames(2 * POSITIONS, bins=128)
    ids = torch.tensor([[3, 4, *[AUDIO] * (POSITIONS // 2), 5, 6, 7]])
    expected = causal(model)(
        input_ids=ids,
        input_features=mel.values.T[None],
        feature_attention_mask=torch.ones(1, 2 * POSITIONS, dtype=torch.long),
        attention_mask=torch.ones_like(ids),
    ).logits
    encoder, language = split(deepcopy(model), attn="eager")
    tokens = stream(encoder.eval(), mel, [0, 7, 8, 30, 80]).embeddings
    embeddings = language.get_input_embeddings()(ids)
    embeddings[ids == AUDIO] = tokens
    torch.testing.assert_close(language(inputs_embeds=embeddings).logits, expected, atol=1e-4, rtol=0)


def test_a_folder_gives_an_encoder_and_a_model_that_a_backbone_takes(model: Qwen2AudioForConditionalGeneration, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    encoder, language = load_qwen2_audio(str(tmp_path))
    mel = frames(2 * POSITIONS, bins=128)
    expected, _ = split(deepcopy(model))
    torch.testing.assert_close(stream(encoder, mel, [0, 80]).embeddings, stream(expected.eval(), mel, [0, 80]).embeddings)
    assert language.config._attn_implementation == attention.NAME
    backbone = Backbone(language)
    slots = backbone.slots(count=1, length=16)
    region = slots.acquire(4)
    found = backbone.forward(slots, [SourceRun(region, 0, [1, 2, 3])], [TargetRow(region, 0, 9, visible=3, probe=True)])
    assert found.logits.shape == (1, 64)


def test_other_models_are_refused(tmp_path: Path) -> None:
    tiny.model("qwen2", attn="eager").save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match=r"expected a Qwen2-Audio model .* it is a model of type 'qwen2'"):
        load_qwen2_audio(str(tmp_path))
