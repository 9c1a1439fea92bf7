"""A model by script that hears: it writes a word for every spoken one whose sounds its slot holds from end to end, and nothing else.

What it knows is the rows that the engine forwards: the encoder numbers its audio tokens, so that a lost or doubled one shows.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from backbones.audio_encoder import AudioTokens, Piece
from backbones.backbone import ProbeOutputs
from backbones.layout import SourceRun, TargetRow
from backbones.loading import Checkpoint
from engine.engine import Engine, EngineConfig
from tests import tiny
from tests.backbones.audio import encoder as random_encoder

TOKEN = 640  # samples of an audio token
EVERY = 20  # audio tokens from one word's begin to the next's: 800 ms
FIRST, LAST = 4, 15  # of them sound


def speech(words: int, *, start: int = 0) -> bytes:
    """Words of 480 ms with 320 ms of near silence between them, pcm16 at 16 kHz."""
    samples = EVERY * TOKEN
    generator = torch.Generator().manual_seed(start)
    sound = torch.randn(words * samples, generator=generator) * 0.0005
    for word in range(words):
        at = word * samples
        sound[at + FIRST * TOKEN : at + (LAST + 1) * TOKEN] *= 300
    return tiny.pcm16(sound)


def vocabulary(checkpoint: Checkpoint) -> list[int]:
    """Tokens that are each a word with a blank before it."""
    texts = {token: checkpoint.tokenizer.decode([token]) for token in range(len(checkpoint.tokenizer))}
    return [token for token, text in texts.items() if text.startswith(" ") and text.strip().isalpha()]


def said(checkpoint: Checkpoint, words: int) -> list[str]:
    """What a target must be of so many words."""
    tokens = vocabulary(checkpoint)
    return [checkpoint.tokenizer.decode([tokens[number % len(tokens)]]).strip() for number in range(words)]


class Listener:
    """Stands in for an engine's backbone. `blind`: the model's own forward is left out. heard: numbers of the audio tokens forwarded."""

    def __init__(self, engine: Engine, *, blind: bool) -> None:
        self._checkpoint, self._inner, self._blind = engine.checkpoint, engine.runner.backbone, blind
        self._words = vocabulary(engine.checkpoint)
        self._rows: dict[Any, dict[int, int]] = defaultdict(dict)  # of each region: source row -> number
        self.heard: list[int] = []
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    @torch.inference_mode()
    def forward(self, slots: Any, runs: Sequence[Any], targets: Sequence[TargetRow], **options: Any) -> ProbeOutputs:
        self.sizes.append(sum(len(run.tokens) for run in runs) + len(targets))
        for run in runs:
            if isinstance(run, SourceRun):
                self._note(run)
        probes = [row for row in targets if row.probe]
        if self._blind:
            out = ProbeOutputs(torch.zeros(len(probes), self.vocab_size), {})
        else:
            out = self._inner.forward(slots, runs, targets, **options)
        for logits, row in zip(out.logits, probes, strict=True):
            logits[self._next(row)] = 1e4
        return out

    def _note(self, run: SourceRun) -> None:
        rows = self._rows[run.region]
        for row in range(run.start, run.start + len(run.tokens)):
            rows.pop(row, None)
        if run.heard is not None:
            numbers = [round(number) for number in run.heard[:, 0].tolist()]
            rows.update(enumerate(numbers, run.start + run.heard_at))
            self.heard += numbers

    def _next(self, probe: TargetRow) -> int:
        there = {number for row, number in self._rows[probe.region].items() if row < probe.visible}
        whole = sorted({number // EVERY for number in there if _sounds(number // EVERY) <= there})
        written = probe.index - len(self._checkpoint.frame.header) + 1
        return self._words[whole[written] % len(self._words)] if written < len(whole) else min(self._checkpoint.frame.end)


def _sounds(word: int) -> set[int]:
    return set(range(word * EVERY + FIRST, word * EVERY + LAST + 1))


def engine(length: int, *, slots: int = 1, tick_tokens: int = 64, blind: bool = True) -> tuple[Engine, Listener]:
    """A tiny engine that hears, and its listener."""
    encoder = random_encoder(tiny.ENCODER)
    plain, counts = encoder.encode, dict[int, int]()

    @torch.inference_mode()
    def numbered(pieces: Sequence[Piece]) -> list[AudioTokens]:
        found = plain(pieces)
        for piece, tokens in zip(pieces, found, strict=True):
            first = counts.get(id(piece.state), 0)
            counts[id(piece.state)] = first + len(tokens.seen)
            tokens.embeddings[:, 0] = torch.arange(first, first + len(tokens.seen))
        return found

    encoder.encode = numbered  # type: ignore[method-assign]
    whole = replace(tiny.hearing(), encoder=encoder)
    made = Engine(whole, EngineConfig(kv_memory=tiny.memory(whole, slots, length), slot_length=length, tick_tokens=tick_tokens))
    listener = Listener(made, blind=blind)
    made.runner.backbone = listener  # type: ignore[assignment]
    return made, listener
