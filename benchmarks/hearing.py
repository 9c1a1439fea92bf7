"""What a session that hears costs, decisions and text included: the rows of benchmarks/audio.py that need a whole checkpoint.

Time is simulated: a tick takes the processor seconds that it took, and samples arrive by that clock. So a busy machine changes nothing,
and what is measured is one thread that does nothing else. Knows the engine; knows no socket.
"""

import heapq
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from backbones.audio_mel import RATE
from backbones.audio_pcm import AudioFormat
from backbones.loading import Checkpoint
from engine.actions import AppendAudio, Done, Read
from engine.engine import Engine, EngineConfig
from engine.request import Request

FORMAT = AudioFormat("pcm16", RATE)
LAG = 0.4  # seconds within which a decision must follow its samples
STREAMS = (4, 8, 12, 16, 24, 32, 48)


@dataclass
class Times:
    """Seconds: of work, and from each message's last sample to its answer."""

    work: float = 0.0
    lags: list[float] = field(default_factory=list)
    written: int = 0


def request(checkpoint: Checkpoint) -> Request:
    """A word after every decision point: some two or three a second, as people speak. Nothing may end it early."""
    task = next(iter(checkpoint.config.tasks))
    inputs = dict.fromkeys(checkpoint.config.tasks[task].inputs, "what?")
    return Request(task, inputs, head="fixed_chunk", head_params={"n": 1, "r": 1}, max_output_tokens=200, audio=FORMAT)


def run(checkpoint: Checkpoint, streams: int, chunks: Sequence[bytes], chunk: float) -> Times:
    """So many streams at once, their chunks evenly apart, each sent when its last sample would have been recorded."""
    encoder = checkpoint.encoder
    assert encoder is not None
    length = min(2048, checkpoint.backbone.max_positions - checkpoint.backbone.offset)
    slot = length * checkpoint.backbone.shape.bytes_per_row() + encoder.state_bytes
    engine = Engine(checkpoint, EngineConfig(kv_memory=(streams + 1) * slot, slot_length=length))
    sessions = [engine.open(request(checkpoint)) for _ in range(streams)]
    arrivals = [(chunk * (n + 1 + i / streams), i, n) for i in range(streams) for n in range(len(chunks))]
    heapq.heapify(arrivals)
    times, now, sent = Times(), 0.0, [[0.0] * len(chunks) for _ in range(streams)]
    index = {session: i for i, session in enumerate(sessions)}
    while arrivals or engine.busy:
        if not engine.busy and arrivals:
            now = max(now, arrivals[0][0])
        began = time.process_time()
        while arrivals and arrivals[0][0] <= now:
            at, i, n = heapq.heappop(arrivals)
            sent[i][n] = at
            if not sessions[i].done:
                sessions[i].send(AppendAudio(chunks[n]))
        events = engine.step()
        took = time.process_time() - began
        now += took
        times.work += took
        _note(times, ((index[session], event) for session, event in events), sent, now)
    times.written = sum(len(session.controller.trajectory) for session in sessions)
    return times


def _note(times: Times, events: Iterable[tuple[int, object]], sent: Sequence[Sequence[float]], now: float) -> None:
    for i, event in events:
        if isinstance(event, Read):
            times.lags.append(now - sent[i][event.n - 1])
        elif isinstance(event, Done):
            raise RuntimeError(f"expected a stream to outlast the benchmark, got {event}")


def one(checkpoint: Checkpoint, pcm: Callable[[float], list[bytes]], chunk: float) -> dict[str, float]:
    """Seconds of work in a second of one stream."""
    chunks = pcm(20)
    times = run(checkpoint, 1, chunks, chunk)
    seconds = len(chunks) * chunk
    return {"ratio": times.work / seconds, "tokens_a_second": times.written / seconds, "lag_p95_ms": 1000 * _p95(times.lags)}


def many(checkpoint: Checkpoint, pcm: Callable[[float], list[bytes]], chunk: float) -> dict[str, float]:
    """How many streams at once keep the 95th percentile of lags under 400 ms; of the first number that does not, none above is tried."""
    best, lag, found = 0, 0.0, {}
    for streams in STREAMS:
        lag = _p95(run(checkpoint, streams, pcm(12), chunk).lags)
        found[f"p95_ms_at_{streams}"] = 1000 * lag
        if lag >= LAG:
            break
        best = streams
    return {"ratio": float(best), **found}


def warm(checkpoint: Checkpoint, pcm: Callable[[float], list[bytes]], chunk: float) -> None:
    """Kernels are chosen at the first calls."""
    run(checkpoint, 4, pcm(2), chunk)


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[-1]
