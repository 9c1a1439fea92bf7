"""Runs items through the real engine, as many at a time as it has slots. Knows no metric; decides nothing."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from backbones.audio_file import read
from backbones.loading import Checkpoint
from engine.actions import Append, AppendAudio, End, Message
from engine.engine import Engine, EngineConfig, bytes_of_a_slot
from engine.request import resolve
from engine.session import Session
from errors import ProactiveError
from evaluation.policies import Policy, source_units
from evaluation.record import Record, Trace
from tasks.example import Example
from tasks.words import pieces

Job = tuple[Policy, Example]


def fitting_engine(checkpoint: Checkpoint, task: str, examples: Iterable[Example], *, slots: int, max_output_tokens: int | None) -> Engine:
    """An engine of so many slots, each just long enough for the longest item. Raises what `resolve` raises for the first item at fault."""
    longest = 0
    frame = checkpoint.frame
    for example in examples:
        with naming(example):
            settings = resolve(checkpoint, Policy("full").request(task, example, max_output_tokens=max_output_tokens))
            stream = len(checkpoint.codec.encode(example.source).tokens) if example.audio is None else source_units(example) + 1
            source = len(settings.prefix) + stream + len(frame.source_end)
        longest = max(longest, source + len(frame.header) + settings.rules.max_output_tokens)
    memory = slots * bytes_of_a_slot(checkpoint, longest) + checkpoint.backbone.shape.bytes_per_row()
    return Engine(checkpoint, EngineConfig(kv_memory=memory, slot_length=longest, tick_tokens=max(256, 16 * slots)))


def run(engine: Engine, task: str, jobs: Iterable[Job], *, max_output_tokens: int | None = None) -> Iterator[Record]:
    """The records of the jobs, in the order in which they end. All of an item's messages are queued at once: timing changes nothing."""
    waiting, traces = iter(jobs), dict[Session, Trace]()
    while True:
        while engine.free_slots and (job := next(waiting, None)) is not None:
            policy, example = job
            with naming(example):
                session = engine.open(policy.request(task, example, max_output_tokens=max_output_tokens))
                for message in messages(example):
                    session.send(message)
            traces[session] = Trace(policy, example)
        if not traces:
            return
        for session, event in engine.step():
            traces[session].take(event)
            if traces[session].done is not None:
                trace = traces.pop(session)
                heard = trace.example.audio is not None
                yield trace.record(None if heard else engine.checkpoint.codec.encode(trace.example.source).units)


def messages(example: Example) -> list[Message]:
    """All of the source, word by word or as one piece of samples, and its end."""
    if example.audio is None:
        return [*map(Append, pieces(example.source)), End()]
    return [AppendAudio(read(example.audio).numpy().tobytes()), End()]


@contextmanager
def naming(example: Example) -> Iterator[None]:
    """Names the item in an error that it causes."""
    try:
        yield
    except ProactiveError as error:
        error.message = f"item {example.id!r}: {error.message}"
        error.args = (error.message,)
        raise
