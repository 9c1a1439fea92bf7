"""The encoder piece by piece: equal to one shot and to Hugging Face's, alone and in company, for as long as one likes."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from backbones.audio_config import EncoderConfig, Projector
from backbones.audio_encoder import Piece
from backbones.audio_mel import MelFrames
from backbones.audio_state import EncoderState
from backbones.audio_weights import from_hugging_face, load_encoder, save_encoder
from errors import BadStateError, InvalidValueError
from tests.backbones.audio import CAUSAL, CONFIG, cuts, encoder, frames, part, stream


def hugging_face(positions: int, attention: str) -> WhisperEncoder:
    torch.manual_seed(0)
    config = WhisperConfig(
        num_mel_bins=80,
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=48,
        max_source_positions=positions,
        attn_implementation=attention,
        init_std=0.3,
    )
    return WhisperEncoder(config).eval().requires_grad_(False)


POSITIONS = {"pool": 1, "projector": None}
CONFIGS = {
    "tokens": CONFIG,
    "positions": CONFIG.model_copy(update=POSITIONS),
    "blocks of tokens": CONFIG.model_copy(update={"block": 8}),
    "blocks of positions": CONFIG.model_copy(update={"block": 3, **POSITIONS}),
}


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_chunking_gives_the_one_shot_tokens(config: EncoderConfig, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 401))
    model, mel = encoder(config), frames(count)
    whole = model.whole([mel])[0]
    found = stream(model, mel, data.draw(cuts(count)))
    assert whole.embeddings.shape == (math.ceil(math.ceil(count / 2) / config.pool), config.out)
    torch.testing.assert_close(found.embeddings, whole.embeddings, atol=1e-5, rtol=0)
    assert found.seen == whole.seen
    torch.testing.assert_close(model.projector(model.bare([mel])), whole.embeddings, atol=0, rtol=0)


@pytest.mark.parametrize("attention", [CAUSAL, "eager"])
def test_hugging_faces_encoder_gives_the_same_under_the_same_mask(attention: str) -> None:
    theirs = hugging_face(24, attention)
    ours = from_hugging_face(theirs, pool=1)
    mel = frames(48)
    expected = theirs(mel.values.T[None]).last_hidden_state[0]
    no_mask = attention == "eager"
    found = ours.whole([mel], causal=False)[0] if no_mask else stream(ours.eval(), mel, [0, 3, 4, 21, 48])
    torch.testing.assert_close(found.embeddings, expected, atol=1e-5, rtol=0)


def test_a_block_as_long_as_the_window_is_whispers_own_attention() -> None:
    model, mel = encoder(CONFIG.model_copy(update={"block": CONFIG.positions})), frames(90)
    torch.testing.assert_close(
        stream(model, mel, [0, 40, 90]).embeddings, model.whole([mel], causal=False)[0].embeddings, atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_a_token_knows_no_sample_beyond_those_that_it_has_seen(config: EncoderConfig) -> None:
    model, mel, other = encoder(config), frames(400), frames(400, seed=9)
    whole = model.whole([mel])[0]
    for frame in range(0, 400, 7):  # from this one on it is another stream
        values = torch.cat((mel.values[:frame], other.values[frame:]))
        known = sum(seen < mel.seen[frame] for seen in whole.seen)
        found = model.whole([MelFrames(values, mel.seen)])[0].embeddings
        torch.testing.assert_close(found[:known], whole.embeddings[:known], atol=1e-5, rtol=0)
        assert known == len(found) or not torch.allclose(found[known:], whole.embeddings[known:], atol=1e-3)


def test_a_token_has_seen_what_its_frames_and_convolutions_cover() -> None:
    found = stream(encoder(), frames(400), [0, 400])
    assert found.seen[:3] == [840, 1480, 2120]
    assert found.seen[-1] == 64_000
    assert all(now == before + 640 for before, now in zip(found.seen[:-2], found.seen[1:-1], strict=True))


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_streams_that_share_a_forward_do_not_touch_each_other(data: st.DataObject) -> None:
    model = encoder()
    mels = [frames(count, seed=count) for count in (150, 97, 260)]
    at = [data.draw(cuts(len(mel.seen), most=6)) for mel in mels]
    states: list[EncoderState] = [model.open() for _ in mels]
    found: list[list[torch.Tensor]] = [[] for _ in mels]
    for step in range(max(map(len, at)) - 1):
        live = [i for i in range(len(mels)) if step < len(at[i]) - 1]
        pieces = [Piece(states[i], part(mels[i], at[i][step], at[i][step + 1]), last=step == len(at[i]) - 2) for i in live]
        for i, tokens in zip(live, model.encode(pieces), strict=True):
            found[i].append(tokens.embeddings)
    for mel, parts in zip(mels, found, strict=True):
        torch.testing.assert_close(torch.cat(parts), stream(model, mel, [0, len(mel.seen)]).embeddings, atol=1e-5, rtol=0)


def test_windows_restart_and_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    model, mel = encoder(), frames(400)  # 200 positions in windows of 32 to 48
    placed = []
    place = EncoderState._place

    def watch(state: EncoderState, levels: list[int], first: int) -> Any:
        placed.extend(found := place(state, levels, first))
        return found

    monkeypatch.setattr(EncoderState, "_place", watch)
    before = model.whole([mel])[0].embeddings
    lengths = [segment.count for segment in placed]
    assert sum(lengths) == 200
    assert all(32 <= length <= 48 and length % 2 == 0 for length in lengths[:-1])
    assert len(lengths) >= 4
    # Other sound at the start is heard by the first window only.
    values = mel.values.clone()
    values[:20] = frames(400, seed=9).values[:20]
    after = model.whole([MelFrames(values, mel.seen)])[0].embeddings
    second = lengths[0] // 2
    assert not torch.allclose(after[:second], before[:second], atol=1e-3)
    torch.testing.assert_close(after[second:], before[second:], atol=1e-6, rtol=0)


def test_five_minutes_equal_one_shot_and_take_no_more_memory_than_one() -> None:
    config = CONFIG.model_copy(update={"positions": 1500, "restart_after": 1000})
    model, mel = encoder(config), frames(30_000)
    state, found, held = model.open(), [], []
    for start in range(0, 30_000, 100):
        found += model.encode([Piece(state, part(mel, start, start + 100), last=start == 29_900)])
        if start in (5_900, 29_800):
            held.append({name: value.untyped_storage().nbytes() for name, value in vars(state).items() if isinstance(value, torch.Tensor)})
    assert held[0] == held[1]
    assert sum(held[0].values()) < model.state_bytes + 10_000
    whole = model.whole([mel])[0]
    assert whole.embeddings.shape[0] == 7_500
    torch.testing.assert_close(torch.cat([one.embeddings for one in found]), whole.embeddings, atol=1e-5, rtol=0)


def test_training_reaches_every_weight_but_the_positions() -> None:
    model = encoder().requires_grad_(True)
    model.embed_positions.requires_grad_(False)
    first, second = model.whole([frames(60), frames(31)])
    (first.embeddings.square().sum() + second.embeddings.square().sum()).backward()
    without = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.abs().sum()]
    assert without == ["embed_positions.weight"]


def test_streams_in_bfloat16_stay_close_to_float32() -> None:
    exact = stream(encoder(), frames(200), [0, 77, 200]).embeddings
    found = stream(encoder().bfloat16(), frames(200), [0, 77, 200]).embeddings
    assert found.dtype is torch.bfloat16
    assert (found.float() - exact).abs().mean() < 0.05 * exact.abs().mean()


def test_what_a_state_cannot_take_is_refused() -> None:
    model, mel = encoder(), frames(20)
    state = model.open()
    with pytest.raises(InvalidValueError, match=r"expected frames \[20, 80\], got \[19, 80\]"):
        model.encode([Piece(state, MelFrames(mel.values[1:], mel.seen))])
    with pytest.raises(BadStateError, match="at most one piece"):
        model.encode([Piece(state, mel), Piece(state, mel)])
    model.encode([Piece(state, mel, last=True)])
    with pytest.raises(BadStateError, match="after the end"):
        model.encode([Piece(state, mel)])


def test_a_refused_piece_costs_its_neighbour_nothing() -> None:
    model, mel = encoder(), frames(60)
    state = model.open()
    with pytest.raises(InvalidValueError, match="expected frames"):
        model.encode([Piece(state, part(mel, 0, 31)), Piece(model.open(), MelFrames(mel.values, mel.seen[1:]))])
    found = [model.encode([Piece(state, part(mel, start, end), last=end == 60)])[0].embeddings for start, end in ((0, 31), (31, 60))]
    torch.testing.assert_close(torch.cat(found), model.whole([mel])[0].embeddings, atol=1e-5, rtol=0)


def test_nothing_in_nothing_out() -> None:
    model = encoder()
    assert model.encode([]) == []
    (found,) = model.encode([Piece(model.open(), frames(0), last=True)])
    assert found.embeddings.shape == (0, CONFIG.out)
    assert found.seen == []


@pytest.mark.parametrize("hidden", [None, 40])
def test_a_projector_with_a_scale_brings_every_token_to_it_and_is_written_with_it(hidden: int | None, tmp_path: Path) -> None:
    def sizes(scale: float | None) -> torch.Tensor:
        """Root mean square of each token, of an encoder that was written and read again."""
        save_encoder(encoder(CONFIG.model_copy(update={"projector": Projector(out=24, hidden=hidden, scale=scale)})), tmp_path)
        return load_encoder(str(tmp_path)).whole([frames(40)])[0].embeddings.detach().square().mean(1).sqrt()

    torch.testing.assert_close(sizes(0.25), torch.full((10,), 0.25), atol=1e-3, rtol=0)
    assert float(sizes(None).std()) > 0.01
