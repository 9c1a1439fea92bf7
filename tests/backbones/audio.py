"""A tiny random audio encoder, sounds, chunkings, and a causal mask for Hugging Face's encoder. Knows no test."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from hypothesis import strategies as st
from transformers import AttentionInterface

from backbones.audio_config import EncoderConfig, Projector
from backbones.audio_encoder import AudioEncoder, AudioTokens, Piece
from backbones.audio_mel import HOP, LOOKAHEAD, MelFrames, log_mel

CAUSAL = "causal_for_tests"  # an attention of transformers, registered below
CONFIG = EncoderConfig(bins=80, width=32, layers=2, heads=4, ffn=48, positions=48, restart_after=32, projector=Projector(out=24, hidden=40))


def encoder(config: EncoderConfig = CONFIG) -> AudioEncoder:
    """Random float32 weights, large enough that what is attended to shows."""
    torch.manual_seed(0)
    made = AudioEncoder(config)
    for layer in made.layers:
        layer.qkv.weight.data.mul_(3.0)
    return made.eval().requires_grad_(False)


def noise(samples: int, seed: int = 0) -> torch.Tensor:
    """float32 [samples] at 16 kHz: noise whose loudness wanders, so that there are pauses."""
    generator = torch.Generator().manual_seed(seed)
    loudness = torch.rand(samples // 2000 + 1, generator=generator).pow(3).repeat_interleave(2000)[:samples]
    return torch.randn(samples, generator=generator) * loudness * 0.2


def frames(count: int, seed: int = 0, bins: int = 80) -> MelFrames:
    """Log-mel of `noise`, and when each frame had been heard."""
    samples = HOP * count
    values = log_mel(noise(samples, seed), bins, 0.0)
    return MelFrames(values, [min(HOP * i + LOOKAHEAD, samples) for i in range(count)])


def cuts(length: int, most: int = 12) -> st.SearchStrategy[list[int]]:
    """Where to cut a stream of `length`: ascending, 0 first and `length` last; equal neighbours make empty chunks."""
    return st.lists(st.integers(0, length), max_size=most).map(lambda inner: [0, *sorted(inner), length])


def part(mel: MelFrames, start: int, end: int) -> MelFrames:
    """Frames [start, end)."""
    return MelFrames(mel.values[start:end], mel.seen[start:end])


def stream(model: AudioEncoder, mel: MelFrames, at: Sequence[int]) -> AudioTokens:
    """The whole stream, cut at `at`, through one state."""
    state = model.open()
    found = [
        model.encode([Piece(state, part(mel, start, end), last=number == len(at) - 2)])[0]
        for number, (start, end) in enumerate(pairwise(at))
    ]
    whole = found[0]
    for one in found[1:]:
        whole += one
    return whole


def of_unknown_length(flac: bytes) -> bytes:
    """As an encoder leaves it that cannot go back to the header: the number of samples, the last 36 bits before the checksum, is 0."""
    return flac[:21] + bytes([flac[21] & 0xF0]) + bytes(4) + flac[26:]


def _causal(module: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, _: Any, **__: Any) -> tuple[torch.Tensor, None]:
    """Written out, so that it shares nothing with what is tested. Whisper's layers have scaled the query already."""
    scores = query @ key.transpose(2, 3)
    ahead = torch.ones(scores.shape[2:], dtype=torch.bool).triu(1)
    return (scores.masked_fill(ahead, -math.inf).softmax(-1) @ value).transpose(1, 2), None


AttentionInterface.register(CAUSAL, _causal)
