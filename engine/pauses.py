"""Where a session that hears begins its slot again (engine/rollover.py): at a pause, by the rule that restarts the encoder's window.

Knows the loudness of log-mel frames, and how many audio tokens a slot takes; no samples, no model and no decision.
"""

import torch

from backbones.audio_state import levels
from backbones.audio_window import Window
from engine import rollover


class Pauses:
    """The seams of one stream. room: audio tokens of a slot; pool: positions of one (backbones/audio_config.py).

    seam: audio tokens of the stream before the next one, once that is known. It follows from the frames alone.
    """

    def __init__(self, room: int, pool: int) -> None:
        full, half = int(rollover.FULL * room), int(rollover.HALF * room) + 1
        self._window, self._pool = Window(pool * max(full, 1), pool * half), pool
        self._frames = 0
        self._levels: list[int] = []  # of positions since the last seam, those too that the encoder has not had
        self._last = 0
        self.seam: int | None = None

    def hear(self, values: torch.Tensor) -> None:
        """[n, bins]: the next frames. To be called before the encoder gets them, so that it never passes a seam unawares."""
        self._levels += levels(values[self._frames % 2 :: 2])  # of a position's middle frame, as in the encoder's state
        self._frames += len(values)
        self._look()

    def begin(self) -> None:
        """The seam is here."""
        assert self.seam is not None
        del self._levels[: self._window.filled]
        self._window.restart()
        self._last, self.seam = self.seam, None
        self._look()

    def _look(self) -> None:
        while self.seam is None:
            filled = self._window.filled
            if filled and filled % self._pool == 0 and self._window.due:
                self.seam = self._last + filled // self._pool
            elif filled == len(self._levels):
                return
            else:
                self._window.hear(self._levels[filled])
