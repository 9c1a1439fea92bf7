"""What a session's slot holds, as token ids: the two groups, which of their rows are in it, and what is to be forwarded next.

Knows regions and ids; knows nothing of text, of decisions or of why a slot is used again.
"""

from collections.abc import Sequence

import torch

from backbones.layout import SourceRun, TargetRow, TargetRun, Units
from backbones.slots import Region
from backbones.source_codec import SourceUnits
from backbones.template import Frame

NO_ID = 0  # of an audio token: its embedding goes to the model in place of this id's


class Rows:
    """The rows of one region.

    source: ids of the source group (prefix, stream, source end); target: of the target group (header, target). The last one of the
    target is the probe's token; the others are in the slot, or are `pending` like the source that is not
    prefix, header: tokens before the stream and before the target
    stream: tokens of the stream among the source; carried_units: its first units, which the slot began with
    """

    def __init__(self, region: Region, frame: Frame, prefix: Sequence[int]) -> None:
        self.region, self._frame = region, frame
        self.prefix, self.header = len(prefix), len(frame.header)
        self.source = list(prefix)
        self.target = list(frame.header)
        self.stream = 0
        self._unit = torch.zeros(region.source_capacity, dtype=torch.long)  # [rows] unit of each source row
        self._fed = 0
        self._heard: list[torch.Tensor] = []  # embeddings of audio tokens that are not in the slot
        self._header_done = len(self.target) == 1
        self.carried_units = 0
        self._carried_visible: int | None = None  # source rows that carried target tokens see, once all of them came
        self._due = range(0)  # target rows before the probe's that are not in the slot, but for the header's first

    def extend(self, released: SourceUnits) -> bool:
        """Adds tokens of the stream; False where the slot cannot hold them and the source end too."""
        tokens, units = released.tokens, released.units
        at = len(self.source)
        if at + len(tokens) + len(self._frame.source_end) > self.region.source_capacity:
            return False
        self.source.extend(tokens)
        self._unit[at : at + len(units)] = torch.tensor(units, dtype=torch.long)
        self.stream += len(tokens)
        if self._carried_visible is None and released.released >= self.carried_units:
            carried = self._unit[self.prefix : self.prefix + self.stream] < self.carried_units
            self._carried_visible = self.prefix + int(carried.sum())
        return True

    def extend_heard(self, embeddings: torch.Tensor, units: Sequence[int]) -> bool:
        """Adds audio tokens [k, hidden] to the stream, each a unit of its own, with its number; False as for `extend`."""
        if not units:
            return True
        if not self.extend(SourceUnits((NO_ID,) * len(units), tuple(units), units[-1] + 1)):
            return False
        self._heard.append(embeddings)
        return True

    def end_source(self) -> None:
        """Adds the source end, for which `extend` kept room."""
        self.source.extend(self._frame.source_end)

    def restart(self, carried: Sequence[int], units: int) -> None:
        """Forgets the stream and the target, and begins again behind the prompt: with the target tokens `carried`.

        They see the first `units` units of the stream that comes, and are forwarded once those are there.
        """
        del self.source[self.prefix :]
        self._heard = []
        self.target[self.header :] = carried
        self.stream, self._fed = 0, min(self._fed, self.prefix)  # where nothing was said, not even the prompt may be in the slot
        self.carried_units, self._carried_visible = units, None
        self._due = range(self.header - 1, self.header - 1 + len(carried))

    @property
    def written(self) -> int:
        """Tokens of the target."""
        return len(self.target) - self.header

    @property
    def left(self) -> int:
        """Tokens that may still be written; the last of them needs no row."""
        return self.region.target_capacity - len(self.target) + 1

    @property
    def room(self) -> tuple[int, int]:
        """Tokens of stream and target that the slot has rows for."""
        return self.region.source_capacity - self.prefix - len(self._frame.source_end), self.written + self.left

    @property
    def pending(self) -> int:
        """Tokens that are not in the slot and may be forwarded now."""
        return len(self.source) - self._fed + (len(self._due) if self._carried_visible is not None else 0)

    def feed(self, count: int) -> tuple[list[SourceRun | TargetRun], list[TargetRow]]:
        """The next `count` pending tokens, and the header's first rows when the prompt becomes complete with them."""
        runs: list[SourceRun | TargetRun] = []
        if source := min(count, len(self.source) - self._fed):
            runs.append(self._source_run(source))
        if carried := self._due[: count - source]:
            assert self._carried_visible is not None
            runs.append(TargetRun(self.region, carried.start, self.target[carried.start : carried.stop], self._carried_visible))
            self._due = self._due[count - source :]
        if self._header_done or self._fed < self.prefix:
            return runs, []
        # Header rows before the last see the prompt only, whatever of the stream came with them.
        self._header_done = True
        return runs, [TargetRow(self.region, i, token, visible=self.prefix) for i, token in enumerate(self.target[:-1])]

    def _source_run(self, count: int) -> SourceRun:
        start, ids = self._fed, self.source[self._fed : self._fed + count]
        self._fed += count
        # The stream lies between the prompt and the source end: what of it is fed, is fed in order.
        before = max(self.prefix - start, 0)
        if not self._heard or count <= before:
            return SourceRun(self.region, start, ids)
        heard = torch.cat(self._heard)
        taken = min(len(heard), count - before)
        self._heard = [heard[taken:]] if taken < len(heard) else []
        return SourceRun(self.region, start, ids, heard[:taken], before)

    def probe(self, units: int | None) -> TargetRow:
        """The newest target token, which asks what comes next. `units`: how many are visible, where its attention to them is wanted."""
        seen = None if units is None else self._units(units)
        return TargetRow(self.region, len(self.target) - 1, self.target[-1], visible=self._fed, probe=True, units=seen)

    def _units(self, count: int) -> Units:
        # Without a prompt the stream's first token is the sink, and is left out like a prompt's would be.
        first = max(self.prefix, 1)
        return Units(first, self._unit[first : self.prefix + self.stream], count)
