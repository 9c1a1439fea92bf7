"""Whisper's encoder under a causal mask, or one that is causal between blocks, and piece by piece: log-mel frames in, audio tokens out.

Knows the model; what a stream needs between two forwards is in backbones/audio_state.py. Knows nothing of samples, files or sessions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn
from torch.nn import functional

from backbones.audio_config import EncoderConfig, Projector
from backbones.audio_mel import MelFrames
from backbones.audio_posteriors import Vocabulary
from backbones.audio_state import EncoderState, Segment, Taken
from errors import BadStateError

# qkv [N, 3, heads, d] of a layer -> [N, heads, d]
Attend = Callable[[int, torch.Tensor], torch.Tensor]
# The same of the windows of several streams.
Hear = Callable[[int, torch.Tensor, Sequence[Segment]], torch.Tensor]


@dataclass(frozen=True)
class Piece:
    """What has arrived of one stream since its last piece. `last`: the stream ends behind it; `cut`: its window does, and so its block."""

    state: EncoderState
    mel: MelFrames
    last: bool = False
    cut: bool = False


@dataclass(frozen=True)
class AudioTokens:
    """m of them. embeddings: [k, out] of those that are `kept`, all unless the vocabulary has a blank (backbones/audio_posteriors.py).

    seen: of each token, how many samples of the stream it could have seen, as counted in `MelFrames.seen`
    """

    embeddings: torch.Tensor
    seen: list[int]
    kept: list[bool]

    def cut(self, count: int) -> tuple["AudioTokens", "AudioTokens"]:
        """The first `count` tokens, and those behind them."""
        rows = sum(self.kept[:count])
        return (
            AudioTokens(self.embeddings[:rows], self.seen[:count], self.kept[:count]),
            AudioTokens(self.embeddings[rows:], self.seen[count:], self.kept[count:]),
        )

    def __add__(self, other: "AudioTokens") -> "AudioTokens":
        embeddings = torch.cat((self.embeddings.to(other.embeddings), other.embeddings))
        return AudioTokens(embeddings, self.seen + other.seen, self.kept + other.kept)


class EncoderLayer(nn.Module):
    """One of Whisper's layers, its query, key and value products joined into one. Whisper's keys have no bias: it is 0 here."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        width = config.width
        self._heads = (3, config.heads, width // config.heads)
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.ffn_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, config.ffn)
        self.fc2 = nn.Linear(config.ffn, width)

    def forward(self, hidden: torch.Tensor, index: int, attend: Attend) -> torch.Tensor:
        """[N, width] -> [N, width]."""
        attended = attend(index, self.qkv(self.attention_norm(hidden)).unflatten(1, self._heads))
        hidden = hidden + self.out(attended.flatten(1))
        out: torch.Tensor = hidden + self.fc2(functional.gelu(self.fc1(self.ffn_norm(hidden))))
        return out


class AudioEncoder(nn.Module):
    """Audio token p covers 40 ms from 40p on and waits for 12.5 ms more: for mel frame 4p + 4, so for sample 640p + 839 at 16 kHz; in
    blocks, for that of the last token of its block.

    Pairs of positions are averaged before the last norm, as in Qwen2-Audio; at the end of a stream an odd one stands alone.
    vocabulary: the backbone's, where tokens are to be mixtures of its embeddings
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        # Held as convolutions, computed as products: so frames of several streams share one call, however many each has.
        self.conv1 = nn.Conv1d(config.bins, config.width, kernel_size=3)
        self.conv2 = nn.Conv1d(config.width, config.width, kernel_size=3)
        self.embed_positions = nn.Embedding(config.positions, config.width).requires_grad_(False)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.layers))
        self.layer_norm = nn.LayerNorm(config.width)
        self.projector = _projector(config.width, config.projector)
        self.vocabulary: Vocabulary | None = None

    @property
    def dtype(self) -> torch.dtype:
        """Of weights, caches and tokens; frames are float32."""
        return self.conv1.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.conv1.weight.device

    @property
    def state_bytes(self) -> int:
        """Memory of one stream: keys and values of a full window."""
        return 2 * self.config.layers * self.config.positions * self.config.width * self.dtype.itemsize

    def open(self) -> EncoderState:
        """The state of a new stream; all the memory that it will ever need is allocated here."""
        config = self.config
        size = (config.layers, 2, config.heads, config.positions, config.width // config.heads)
        return EncoderState(config, torch.zeros(size, dtype=self.dtype, device=self.device))

    @torch.inference_mode()
    def encode(self, pieces: Sequence[Piece]) -> list[AudioTokens]:
        """One forward over the pieces of any number of streams; what is too new for a whole token waits in the state.

        Raises BadStateError for two pieces of a stream or one after its end, InvalidValueError for frames of another shape.
        """
        if len({id(piece.state) for piece in pieces}) < len(pieces):
            raise BadStateError("expected at most one piece of a stream in a forward, got several")
        return self._run(pieces, _attend_cached)

    def whole(self, streams: Sequence[MelFrames], *, causal: bool = True) -> list[AudioTokens]:
        """Whole streams in one shot and with gradients, as training needs them: the same windows, no cache.

        `causal=False` is Whisper's own attention over each window: full context, to compare with.
        """
        return self._run(self._whole(streams), partial(_attend_windows, causal=causal))

    def bare(self, streams: Sequence[MelFrames], *, causal: bool = True) -> torch.Tensor:
        """[T, width] of what `whole` hears, one stream after the other: what the projector gets."""
        pooled = self._pooled(self._whole(streams), partial(_attend_windows, causal=causal))
        tokens: torch.Tensor = self.layer_norm(torch.cat([part for part, _ in pooled]))
        return tokens

    def _whole(self, streams: Sequence[MelFrames]) -> list[Piece]:
        return [Piece(EncoderState(self.config, torch.empty(0, device=self.device)), mel, last=True) for mel in streams]

    def _run(self, pieces: Sequence[Piece], attend: Hear) -> list[AudioTokens]:
        if not pieces:
            return []
        pooled = self._pooled(pieces, attend)
        tokens = self.projector(self.layer_norm(torch.cat([part for part, _ in pooled])))
        sizes = [len(seen) for _, seen in pooled]
        kept = [torch.ones(size, dtype=torch.bool, device=tokens.device) for size in sizes]
        if self.vocabulary is not None:
            scores = self.vocabulary.scores(tokens)
            kept = _kept(self.vocabulary, torch.split(scores, sizes), [piece.state for piece in pieces])
            tokens = self.vocabulary.mixed(scores[torch.cat(kept)])
        parts = torch.split(tokens, [int(part.sum()) for part in kept])
        return [AudioTokens(part, seen, which.tolist()) for part, (_, seen), which in zip(parts, pooled, kept, strict=True)]

    def _pooled(self, pieces: Sequence[Piece], attend: Hear) -> list[tuple[torch.Tensor, list[int]]]:
        """Of each piece its tokens before the last norm, [m, width], and what they could have seen."""
        for piece in pieces:  # before any state changes: what is wrong with one stream must not cost another its frames
            piece.state.check(piece.mel)
        taken: list[Taken] = []
        count = 0
        for piece in pieces:
            taken.append(piece.state.take(piece.mel, first=count, last=piece.last, cut=piece.cut))
            count += len(taken[-1].seen)
        if count == 0:
            return [(torch.empty(0, self.config.width, dtype=self.dtype, device=self.device), []) for _ in pieces]
        segments = [segment for one in taken for segment in one.segments]
        hidden = self._convolve(taken)
        hidden = hidden + torch.cat([self.embed_positions.weight[one.row : one.row + one.count] for one in segments])
        for index, layer in enumerate(self.layers):
            hidden = layer(hidden, index, lambda index, qkv: attend(index, qkv, segments))
        parts = torch.split(hidden, [len(one.seen) for one in taken])
        return [piece.state.pool(part, one.seen) for piece, one, part in zip(pieces, taken, parts, strict=True)]

    def _convolve(self, taken: Sequence[Taken]) -> torch.Tensor:
        """[N, width]: both convolutions of every stream's frames."""
        taken = [one for one in taken if one.seen]
        windows = torch.cat([one.frames.unfold(0, 3, 1).flatten(1) for one in taken]).to(self.device, self.dtype)
        hidden = functional.gelu(functional.linear(windows, self.conv1.weight.flatten(1), self.conv1.bias))
        sizes = [2 * len(one.seen) + 1 for one in taken]
        starts = [sum(sizes[:i]) for i in range(len(sizes))]
        silenced = [start + row for start, one in zip(starts, taken, strict=True) for row in one.silenced]
        if silenced:
            hidden = hidden.index_fill(0, torch.tensor(silenced, device=self.device), 0.0)
        windows = torch.cat([part.unfold(0, 3, 2).flatten(1) for part in torch.split(hidden, sizes)])
        return functional.gelu(functional.linear(windows, self.conv2.weight.flatten(1), self.conv2.bias))


def _kept(vocabulary: Vocabulary, scores: Sequence[torch.Tensor], states: Sequence[EncoderState]) -> list[torch.Tensor]:
    """Of each stream's new tokens, [m, V], which ones reach the backbone; each state remembers the last."""
    found = []
    for part, state in zip(scores, states, strict=True):
        kept, state.last_token = vocabulary.kept(part, state.last_token)
        found.append(kept)
    return found


def _attend_cached(index: int, qkv: torch.Tensor, segments: Sequence[Segment]) -> torch.Tensor:
    """In order: of two windows of a stream, the later one overwrites rows that the earlier one has read by then."""
    outs = []
    for one in segments:
        part, end = qkv.narrow(0, one.first, one.count), one.row + one.count
        cache = one.cache[index]  # [2, heads, positions, d]
        cache[:, :, one.row : end] = part[:, 1:].permute(1, 2, 0, 3)
        out = functional.scaled_dot_product_attention(
            part[:, 0].transpose(0, 1)[None],
            cache[0, None, :, :end],
            cache[1, None, :, :end],
            attn_mask=one.mask,
        )
        outs.append(out[0].transpose(0, 1))
    return torch.cat(outs)


def _attend_windows(_: int, qkv: torch.Tensor, segments: Sequence[Segment], *, causal: bool) -> torch.Tensor:
    """Every segment is a whole window."""
    outs = []
    for one in segments:
        q, k, v = qkv.narrow(0, one.first, one.count).permute(1, 2, 0, 3).unsqueeze(1)  # [1, heads, count, d] each
        mask = one.mask if causal and one.block > 1 else None
        out = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal and mask is None)
        outs.append(out[0].transpose(0, 1))
    return torch.cat(outs)


def _projector(width: int, config: Projector | None) -> nn.Module:
    if config is None:
        return nn.Identity()
    hidden = config.hidden
    layers: list[nn.Module] = [nn.Linear(width, config.out)]
    if hidden is not None:
        layers = [nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, config.out)]
    if config.scale is not None:
        layers.append(_Scaled(config.scale))
    return layers[0] if len(layers) == 1 else nn.Sequential(*layers)


class _Scaled(nn.Module):
    """[N, out] -> [N, out], each row with the root mean square `scale`."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self._scale = scale

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self._scale * functional.rms_norm(tokens, tokens.shape[-1:])
