"""Is quality near a seam of an endless stream what it is elsewhere? Runs joined items through the engine, with seams at different places.

An item that lies near a seam in one run and far from any in another is compared with itself. Knows no report and no plan.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import jiwer
import numpy as np

from backbones.loading import Checkpoint
from backbones.source_codec import count_units
from engine.actions import Append, Done, End, Failure
from engine.engine import Engine, EngineConfig
from engine.session import Session
from errors import InvalidValueError
from evaluation.bootstrap import Array, Interval, Resamples
from evaluation.policies import Policy
from evaluation.quality import QUALITY, CorpusStatistic, LengthRatio
from tasks.example import Example
from tasks.words import pieces

DISTANCE = 20  # words from a seam within which an item is near it
SHARES = (1.0, 7 / 8, 3 / 4, 5 / 8)  # of the slot's length: seams fall elsewhere in each run, and do not drift together


@dataclass(frozen=True)
class Heard:
    """One run over one stream: what was written for each item, and where seams were. bounds: [items + 1] words before each item."""

    written: tuple[str, ...]
    bounds: tuple[int, ...]
    seams: tuple[int, ...]

    def near(self, item: int, distance: int) -> bool:
        """Whether a word of the item lies within `distance` words of a seam."""
        first, last = self.bounds[item], self.bounds[item + 1]
        return any(first < seam + distance and last > seam - distance for seam in self.seams)


@dataclass(frozen=True)
class Compared:
    """One statistic near seams, elsewhere, and the paired difference, over the `items` that were both."""

    name: str
    near: float
    elsewhere: float
    difference: Interval
    items: int


@dataclass(frozen=True)
class Seams:
    """seams: how many there were in all runs; quality: of the metric; length: target words over reference words."""

    seams: int
    quality: Compared
    length: Compared


def measure(  # noqa: PLR0913 (one a flag of the command)
    checkpoint: Checkpoint,
    task: str,
    examples: Sequence[Example],
    policy: Policy,
    *,
    metric: str = "chrf",
    slot_length: int = 1024,
    stream_items: int = 100,
    slots: int = 8,
    distance: int = DISTANCE,
) -> Seams:
    """Joins every `stream_items` examples to a stream, and runs all of them in slots of several lengths, `slot_length` the longest.

    All items of a stream have the inputs of its first. Raises what Engine.open raises, and InvalidValueError where no item was both near a
    seam and elsewhere: then slots are too short or too long.
    """
    streams = [examples[start : start + stream_items] for start in range(0, len(examples), stream_items)]
    runs = [list(run(checkpoint, task, streams, policy, length=int(share * slot_length), slots=slots)) for share in SHARES]
    items: list[tuple[Example, list[list[str]]]] = []
    for stream, heard in zip(streams, zip(*runs, strict=True), strict=True):
        for place, example in enumerate(stream):
            sides = [[one.written[place] for one in heard if one.near(place, distance) is near] for near in (True, False)]
            if all(sides):
                items.append((example, sides))
    if not items:
        raise InvalidValueError(f"expected items within {distance} words of a seam in one run and elsewhere in another; got none")
    resamples = Resamples([example.cluster for example, _ in items])
    quality, length = (_compared(name, of, items, resamples) for name, of in ((metric, QUALITY[metric]), ("length ratio", LengthRatio())))
    return Seams(sum(len(one.seams) for heard in runs for one in heard), quality, length)


def run(
    checkpoint: Checkpoint, task: str, streams: Sequence[Sequence[Example]], policy: Policy, *, length: int, slots: int
) -> Iterator[Heard]:
    """Each stream through an endless session, in slots of `length` tokens; in the order of the streams."""
    checkpoint = _unbounded(checkpoint, task)
    memory = (slots * length + 1) * checkpoint.backbone.shape.bytes_per_row()
    engine = Engine(checkpoint, EngineConfig(kv_memory=memory, slot_length=length, tick_tokens=max(256, 16 * slots)))
    for first in range(0, len(streams), slots):
        group = streams[first : first + slots]
        sessions = [_begin(engine, task, stream, policy) for stream in group]
        texts = dict(_finish(engine))
        for session, stream in zip(sessions, group, strict=True):
            bounds = (0, *accumulate(count_units(example.source.strip()) for example in stream))
            yield Heard(tuple(split(texts[session], [example.references[0] for example in stream])), bounds, tuple(session.seams))


def _unbounded(checkpoint: Checkpoint, task: str) -> Checkpoint:
    """The slots' length is the measurement's, however much of one the task would use."""
    config = checkpoint.config
    tasks = {**config.tasks, task: config.tasks[task].model_copy(update={"rollover_tokens": None})}
    return replace(checkpoint, config=config.model_copy(update={"tasks": tasks}))


def _begin(engine: Engine, task: str, stream: Sequence[Example], policy: Policy) -> Session:
    source = " ".join(example.source.strip() for example in stream)
    whole = replace(stream[0], source=source)
    session = engine.open(replace(policy.request(task, whole), rollover=True, decisions=False))
    for piece in pieces(source):
        session.send(Append(piece))
    session.send(End())
    return session


def _finish(engine: Engine) -> Iterator[tuple[Session, str]]:
    while engine.sessions:
        for session, event in engine.step():
            if isinstance(event, Failure):
                raise event.error
            if isinstance(event, Done):
                yield session, event.text


def split(text: str, references: Sequence[str]) -> list[str]:
    """A long target cut into the parts that belong to the references, by the alignment with the fewest edits of words (as mwerSegmenter).

    Words that nothing in the references answers to go to the part before them.
    """
    hypothesis, words = text.split(), [reference.split() for reference in references]
    if not hypothesis:
        return [""] * len(references)
    (chunks,) = jiwer.process_words(" ".join(word for part in words for word in part), " ".join(hypothesis)).alignments
    at = [0] * (sum(map(len, words)) + 1)
    for chunk in chunks:
        for place in range(chunk.ref_start_idx, chunk.ref_end_idx):
            step = 0 if chunk.type == "delete" else place - chunk.ref_start_idx
            at[place] = chunk.hyp_start_idx + step
    at[-1] = len(hypothesis)
    cuts = [0, *(at[count] for count in accumulate(map(len, words)))]
    return [" ".join(hypothesis[start:end]) for start, end in pairwise(cuts)]


def _compared(name: str, statistic: CorpusStatistic, items: Sequence[tuple[Example, list[list[str]]]], resamples: Resamples) -> Compared:
    """items: each with what was written near seams and what elsewhere, in one or more runs each."""
    rows = [[_mean(statistic, texts, example.references) for texts in sides] for example, sides in items]
    near, elsewhere = (np.stack(side) for side in zip(*rows, strict=True))
    scores = [float(statistic.score(side.sum(axis=0))) for side in (near, elsewhere)]
    return Compared(name, scores[0], scores[1], resamples.difference(near, elsewhere, statistic.score), len(rows))


def _mean(statistic: CorpusStatistic, texts: Sequence[str], references: Sequence[str]) -> Array:
    """Statistics are sums: their mean over runs counts the item once."""
    mean: Array = np.mean([statistic.statistics(text, references) for text in texts], axis=0)
    return mean
