"""Where the encoder's window restarts. Whisper has 1,500 learned positions (30 s), and a stream may be longer.

Policy: a window restarts at the first pause after `earliest` of its positions (20 s of 30), and in any case when it is full. Then
positions count from 0 and nothing before the restart is attended to; convolutions run on. A pause is where the level of the last 160 ms
is at most midway between the quietest such stretch of the window and the window's mean: no absolute level, so that gain and noise do not
matter. Only what has been heard decides. Levels are integers, so that sums, and with them the restarts, are the same whatever the chunks.

Knows levels and counts; no tensor and no model.
"""

from collections import deque

STRETCH = 8  # positions: 160 ms


class Window:
    """One stream's current window of at most `positions` positions (20 ms each), and of `earliest` at least."""

    def __init__(self, positions: int, earliest: int) -> None:
        self._positions, self._earliest = positions, earliest
        self.restart()

    def restart(self) -> None:
        """The next position is the first."""
        self.filled = 0
        self._recent: deque[int] = deque(maxlen=STRETCH)
        self._lowest: int | None = None
        self._total = self._stretches = 0

    def hear(self, level: int) -> None:
        """One more position, with its level (any linear unit of loudness)."""
        self.filled += 1
        self._recent.append(level)
        if len(self._recent) == STRETCH:
            stretch = sum(self._recent)
            self._lowest = stretch if self._lowest is None else min(self._lowest, stretch)
            self._total += stretch
            self._stretches += 1

    @property
    def due(self) -> bool:
        """True if the next position must be the first of a new window."""
        if self.filled >= self._positions:
            return True
        if self.filled < self._earliest or self._lowest is None:
            return False
        return 2 * sum(self._recent) * self._stretches <= self._lowest * self._stretches + self._total
