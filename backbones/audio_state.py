"""What an encoder must remember of one stream between two forwards: keys and values, frames that convolutions still need, an odd position.

Knows counts, rows and windows. Knows no weights.
"""

from dataclasses import dataclass
from functools import cached_property

import torch

from backbones.audio_config import EncoderConfig
from backbones.audio_mel import MelFrames
from backbones.audio_posteriors import NO_TOKEN
from backbones.audio_window import Window
from errors import BadStateError, InvalidValueError

# Position j is computed from frames 2j - 2 to 2j + 2: three of conv1, each of three frames.
REACH = 5


@dataclass(frozen=True)
class Segment:
    """Consecutive positions of one window: [first, first + count) of the packed ones, in rows [row, row + count) of `cache`."""

    cache: torch.Tensor  # [layers, 2, heads, positions, d]
    first: int
    count: int
    row: int
    block: int

    @cached_property
    def mask(self) -> torch.Tensor:
        """[count, row + count] bool: a position sees its block, as far as there is one, and what is before it in its window. Made once for
        all layers."""
        rows = torch.arange(self.row + self.count, device=self.cache.device)
        ends = (rows[self.row :] // self.block + 1) * self.block
        return rows < ends[:, None]


@dataclass(frozen=True)
class Taken:
    """The positions that new frames complete.

    frames:    [2 count + 3, bins]: all that they are computed from
    silenced:  rows of conv1's output that stand before the stream's start or behind its end, and so are 0
    seen:      of each position, how many samples had been consumed when it was complete
    """

    frames: torch.Tensor
    silenced: list[int]
    seen: list[int]
    segments: list[Segment]


def levels(frames: torch.Tensor) -> list[int]:
    """[n, bins] -> the loudness of each frame, for backbones/audio_window.py."""
    return [int(level) for level in (1000 * frames.mean(dim=1)).round().tolist()]


class EncoderState:
    """One stream's. Made by `AudioEncoder.open`; its memory does not grow."""

    def __init__(self, config: EncoderConfig, cache: torch.Tensor) -> None:
        self._config, self._cache = config, cache
        self._window = Window(config.positions, config.restart_after)
        # From frame 2j - 2 on, j the next position. Before the stream there are zeros.
        self._frames = torch.zeros(REACH - 3, config.bins)
        self._seen = [0] * (REACH - 3)
        self._waiting: tuple[torch.Tensor, list[int]] | None = None
        self._started = False
        self.ended = False
        self.last_token = NO_TOKEN  # the most probable one of the last audio token (backbones/audio_posteriors.py)

    def check(self, new: MelFrames) -> None:
        """Raises BadStateError after the end, InvalidValueError for frames of another shape."""
        if self.ended:
            raise BadStateError("expected no frames after the end of the stream")
        count, bins = len(new.seen), self._config.bins
        if new.values.shape != (count, bins):
            raise InvalidValueError(f"expected frames [{count}, {bins}], got {list(new.values.shape)}")

    def take(self, new: MelFrames, *, first: int, last: bool, cut: bool = False) -> Taken:
        """Adds frames that were checked. The positions that they complete are number `first` and following of the packed ones.

        Behind the last ones, and at a `cut`, a block ends wherever it is; else its positions wait until it is whole.
        """
        frames, seen = torch.cat((self._frames, new.values.float().cpu())), [*self._seen, *new.seen]
        there, block = len(seen), self._config.block
        count = max(0, (there - 1 if last else there - 3) // 2)
        begun = self._window.filled % block
        if not (last or cut):
            count = max(0, (begun + count) // block * block - begun)
        needed = 2 * count + REACH - 2
        ends = [min((begun + i) // block * block + block - begun, count) - 1 for i in range(count)]
        # The last frame stands for the zeros behind it: what needs them needs the whole stream.
        at = [seen[min(2 * i + REACH - 1, there - 1)] for i in ends]
        silenced = [] if self._started or not count else [0]
        if last and needed > there + 1:
            silenced.append(2 * count)
        self._frames, self._seen = frames[2 * count :].clone(), seen[2 * count :]
        self._started, self.ended = self._started or count > 0, last
        behind = frames.new_zeros(max(0, needed - there), frames.shape[1])
        return Taken(torch.cat((frames[:needed], behind)), silenced, at, self._place(levels(frames[2 : 2 + 2 * count : 2]), first))

    def restart(self) -> None:
        """The next position begins a window: it and those behind it attend to nothing before it. Between two tokens only."""
        if self._waiting is not None:
            raise BadStateError("expected the window to restart between two tokens, got it within one")
        self._window.restart()

    def pool(self, hidden: torch.Tensor, seen: list[int]) -> tuple[torch.Tensor, list[int]]:
        """[count, width] -> [tokens, width], and what each token has seen. An odd position waits, or stands alone at the end."""
        size = self._config.pool
        if self._waiting is not None:
            hidden, seen = torch.cat((self._waiting[0], hidden)), [*self._waiting[1], *seen]
        whole = len(seen) // size * size
        pooled, at = hidden[:whole].reshape(whole // size, size, hidden.shape[1]).mean(dim=1), seen[size - 1 : whole : size]
        if whole == len(seen):
            self._waiting = None
        elif self.ended:
            pooled, at = torch.cat((pooled, hidden[whole:].mean(dim=0, keepdim=True))), [*at, seen[-1]]
        else:
            self._waiting = hidden[whole:].clone(), seen[whole:]
        return pooled, at

    def _place(self, heard: list[int], first: int) -> list[Segment]:
        """Rows for the next positions; a window restarts between two blocks only, and so between two tokens."""
        segments = []
        block, whole = self._config.block, max(self._config.pool, self._config.block)
        begun, row = first, self._window.filled
        for number, level in enumerate(heard, start=first):
            if self._window.filled % whole == 0 and self._window.due:
                if number > begun:
                    segments.append(Segment(self._cache, begun, number - begun, row, block))
                begun, row = number, 0
                self._window.restart()
            self._window.hear(level)
        if heard:
            segments.append(Segment(self._cache, begun, first + len(heard) - begun, row, block))
        return segments
