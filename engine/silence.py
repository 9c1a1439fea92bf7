"""Whether somebody speaks, by the loudness of log-mel frames: for sessions that must not decide, or write, where nobody does.

Knows frames' levels; no samples, no model and no decision. An absolute level would not do: a quiet room and a loud street differ by more
than speech and silence do. Speech comes and goes within a second, steady noise does not, so what counts is the level above the quietest
moment of the last ten seconds. Noise that itself comes and goes passes for speech; a detector that knows speech would be a model more.
"""

from collections import deque

import torch

ABOVE = 0.35  # log10 of power, the mean over the mel bins, by which speech exceeds the quietest moment; white noise stays within 0.25
QUIETEST = -6.1  # below that everything is silence: a breath after digital silence is no speech, a quiet telephone is
WINDOW_MS, HANG_MS = 10_000, 2_000  # how long the quietest moment counts; how long the gate stays open behind the last sound
AUDIBLE, SHORT_MS = -5.3, 1_000  # a recording this loud and this short may be speech from end to end, without a quiet moment
LEAST = 3  # audio tokens of sound in a row: a click, as wide as a frame, reaches two


class SilenceGate:
    """One stream's. frames: of one audio token (4: 40 ms). What it is asked is to be asked in ascending order of tokens."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        token_ms = 10 * frames
        self._hang = HANG_MS // token_ms
        self._levels: deque[float] = deque()  # of frames that no token was made of yet
        self._recent: deque[float] = deque(maxlen=WINDOW_MS // token_ms)  # of audio tokens
        self._short = SHORT_MS // token_ms
        self._tokens = self._loud = 0
        self._last_loud: int | None = None  # number of the last token of speech

    def hear(self, values: torch.Tensor) -> None:
        """[n, bins]: frames as backbones/audio_mel.py normalises them, (log10 of power + 4) / 4."""
        self._levels.extend((4 * values.mean(dim=1) - 4).tolist())

    def is_open(self, tokens: int) -> bool:
        """Whether somebody spoke shortly before the end of so many audio tokens."""
        self._take_until(tokens)
        return self._last_loud is not None and tokens - self._last_loud <= self._hang

    def spoke(self, first: int, tokens: int) -> bool:
        """Whether somebody spoke in audio tokens [first, tokens). True too where too little of the stream was heard to know."""
        self._take_until(tokens)
        if self._last_loud is not None and self._last_loud >= first:
            return True
        return self._tokens < self._short and max(self._recent, default=QUIETEST) > AUDIBLE

    def _take_until(self, tokens: int) -> None:
        while self._tokens < tokens and self._levels:
            taken = [self._levels.popleft() for _ in range(min(self._frames, len(self._levels)))]
            self._take(sum(taken) / len(taken))

    def _take(self, level: float) -> None:
        self._recent.append(level)
        self._loud = self._loud + 1 if level > max(min(self._recent), QUIETEST) + ABOVE else 0
        if self._loud >= LEAST:
            self._last_loud = self._tokens
        self._tokens += 1
