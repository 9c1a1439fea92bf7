"""Many policies on one item for little more than one: they share the source's rows and every probe that sees the same.

Each policy's session is a real one, and decides as in the engine; only forward passes are shared, so a record equals the engine's up to the
last bits of a score. Knows no metric and no threshold.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import torch

from backbones.layout import SourceRun, TargetRow
from backbones.loading import Checkpoint
from backbones.slots import Region
from backbones.source_codec import SourceCodec, SourceUnits
from engine.actions import Append, End
from engine.request import Settings, resolve
from engine.runner import Probe, remember, signals
from engine.session import Session
from errors import InvalidValueError
from evaluation import company
from evaluation.company import Ask
from evaluation.drive import Job, naming
from evaluation.policies import Policy
from evaluation.record import Record, Trace
from heads import DecisionHead, checked_scores
from tasks.example import Example
from tasks.words import pieces


@dataclass
class _Row:
    """A target row behind certain others: its outputs are a function of the path that leads to it, whichever policy took it.

    key: the token and the source rows that it sees
    """

    key: tuple[int, int]
    before: "_Row | None"
    next: dict[tuple[int, int], "_Row"] = field(default_factory=dict)
    token: int = -1
    entropy: float = 0.0
    attention: torch.Tensor | None = None
    scores: dict[DecisionHead, float] = field(default_factory=dict)

    @property
    def path(self) -> list["_Row"]:
        """The rows from the header's last on to this one."""
        rows, row = [], self
        while row.before is not None:
            rows.append(row)
            row = row.before
        return rows[::-1]


class _OneSource:
    """Stands in for a codec whose streams all get the same source in the same pieces: it is tokenised once."""

    def __init__(self, codec: SourceCodec, source: str) -> None:
        stream = codec.stream()
        self._released = [*(stream.append(piece) for piece in pieces(source)), stream.finish()]

    def stream(self) -> "_Heard":
        return _Heard(iter(self._released))


@dataclass(frozen=True)
class _Heard:
    released: Iterator[SourceUnits]

    def append(self, _: str) -> SourceUnits:
        return next(self.released)

    def finish(self) -> SourceUnits:
        return next(self.released)


@dataclass(frozen=True)
class OnSharedProbes:
    """A backend as OnEngine, for jobs that have many policies an item. `slots` items at a time share the forward passes."""

    checkpoint: Checkpoint
    task: str
    slots: int = 16

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """All records of an item, then those of the next that ends.

        Raises ProactiveError naming the item, InvalidValueError for recordings, whose rows only an engine makes, and for a task that caps
        its reads: a forced write may bar the end.
        """
        if self.checkpoint.config.tasks[self.task].max_reads is not None:
            raise InvalidValueError(f"expected a task without max_reads; got {self.task!r}", param="task")
        if any(example.audio is not None for _, example in jobs):
            raise InvalidValueError("expected sources as text; got a recording", param="data")
        wanted: dict[str, list[Job]] = defaultdict(list)
        for policy, example in jobs:
            wanted[example.id].append((policy, example))
        items = [_Shared(self.checkpoint, self.task, some[0][1], [policy for policy, _ in some]) for some in wanted.values()]
        for item in company.run(self.checkpoint.backbone, items, slots=self.slots):
            yield from item.records
            item.records.clear()


class _Shared:
    """One item: the whole source is forwarded once, then each policy's session is run to its end before the next one's."""

    def __init__(self, checkpoint: Checkpoint, task: str, example: Example, policies: Sequence[Policy]) -> None:
        self._example = example
        with naming(example):
            self._policies = [(policy, resolve(checkpoint, policy.request(task, example))) for policy in policies]
        self._checkpoint = replace(checkpoint, codec=cast("SourceCodec", _OneSource(checkpoint.codec, example.source)))
        settings = self._policies[0][1]
        self._prefix, self._written = settings.prefix, settings.rules.max_output_tokens
        self._encoded = checkpoint.codec.encode(example.source)
        self._attends = any("attention" in settings.needs for _, settings in self._policies)
        self._root = _Row((-1, -1), None)
        self._placed: list[_Row] = []  # what the slot's target rows are, behind the header's first ones
        self._answer: tuple[int, float, torch.Tensor | None] | None = None
        self.records: list[Record] = []

    @property
    def target_rows(self) -> int:
        return len(self._checkpoint.frame.header) + self._written

    @property
    def length(self) -> int:
        return len(self._prefix) + len(self._encoded.tokens) + len(self._checkpoint.frame.source_end) + self.target_rows

    def answer(self, token: int, nats: float, attention: torch.Tensor | None) -> None:
        self._answer = token, nats, attention

    def asks(self, region: Region) -> Iterator[Ask]:
        frame = self._checkpoint.frame
        header = [TargetRow(region, i, token, visible=len(self._prefix)) for i, token in enumerate(frame.header[:-1])]
        yield [SourceRun(region, 0, [*self._prefix, *self._encoded.tokens, *frame.source_end])], header
        for policy, settings in self._policies:
            yield from self._session(region, policy, settings)
        self._root, self._placed = _Row((-1, -1), None), []  # of thousands of items this would fill the memory

    def _session(self, region: Region, policy: Policy, settings: Settings) -> Iterator[Ask]:
        session, last = Session(self._checkpoint, settings, region), self._root
        for piece in pieces(self._example.source):
            session.send(Append(piece))
        session.send(End())
        while not session.done:
            session.feed(session.pending)  # its rows are in the slot already
            target = session.probe(attention=self._attends)
            row = last.next.get((target.token, target.visible))
            if row is None:
                row = last.next[target.token, target.visible] = _Row((target.token, target.visible), last)
                yield [], [*self._catch_up(region, last.path), target]
                self._placed.append(row)
                assert self._answer is not None
                row.token, row.entropy, row.attention = self._answer
            probe = Probe(session, row.token, row.entropy, row.attention)
            if session.decide(self._score(row, probe), row.token):
                remember(probe)
                last = row
        trace = Trace(policy, self._example)
        for event in session.events:
            trace.take(event)
        self.records.append(trace.record(self._encoded.units))

    def _catch_up(self, region: Region, path: Sequence[_Row]) -> list[TargetRow]:
        """The rows of the path that the slot does not hold: another policy has written others there."""
        same = next((i for i, (there, ours) in enumerate(zip(self._placed, path, strict=False)) if there is not ours), None)
        known = min(len(self._placed), len(path)) if same is None else same
        self._placed = list(path)
        first = len(self._checkpoint.frame.header) - 1
        return [TargetRow(region, first + i, *path[i].key) for i in range(known, len(path))]

    def _score(self, row: _Row, probe: Probe) -> float:
        head = probe.session.settings.head
        if head not in row.scores:
            row.scores[head] = checked_scores(head, signals([probe], self._checkpoint.backbone.vocab_size))[0]
        return row.scores[head]
