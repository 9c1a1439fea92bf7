"""`python -m benchmarks.audio [WHISPER] [--checkpoint CHECKPOINT]`: what the audio encoder alone costs, as ratios within one run, and what
whole sessions of a checkpoint that hears do (benchmarks/hearing.py). Knows no server.

Times are processor seconds of one thread: on a machine that does other things they are what a clock would show on one that does not.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil
import torch
from rich.console import Console
from rich.table import Table

from backbones.audio_encoder import AudioEncoder, Piece
from backbones.audio_input import AudioInput
from backbones.audio_mel import RATE, MelFrames
from backbones.audio_pcm import AudioFormat
from backbones.audio_weights import load_encoder
from backbones.loading import Checkpoint, load
from backbones.packed_linear import pack_linears
from benchmarks import hearing

CHUNK = 0.4  # seconds between decisions
FORMAT = AudioFormat("pcm16", RATE)
Measured = dict[str, float]


def pcm(seconds: float) -> list[bytes]:
    """Noise that comes and goes every two seconds, in chunks."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(int(seconds * RATE), generator=generator) * 3000
    samples *= (torch.arange(len(samples)) // (2 * RATE)) % 2 * 0.9 + 0.1
    data, size = samples.clamp(-32_768, 32_767).to(torch.int16).numpy().tobytes(), int(CHUNK * RATE) * FORMAT.frame_bytes
    return [data[start : start + size] for start in range(0, len(data), size)]


def timed(call: Callable[[], object]) -> float:
    """Processor seconds."""
    before = time.process_time()
    call()
    return time.process_time() - before


class Stream:
    """PCM in, tokens out: front end and encoder as a session runs them."""

    def __init__(self, encoder: AudioEncoder) -> None:
        self._encoder, self._state = encoder, encoder.open()
        self._audio = AudioInput(FORMAT, bins=encoder.config.bins, floor=encoder.config.mel_floor)

    def hear(self, chunk: bytes) -> Piece:
        """The front end's part of a chunk."""
        return Piece(self._state, self._audio.push(chunk))

    def chunk(self, chunk: bytes) -> None:
        """All of it."""
        self._encoder.encode([self.hear(chunk)])


def real_time(encoder: AudioEncoder) -> Measured:
    """Of one stream of a minute: seconds of work in a second of audio."""
    stream = Stream(encoder)
    costs = [timed(lambda chunk=chunk: stream.chunk(chunk)) for chunk in pcm(60)]  # type: ignore[misc]
    front = Stream(encoder)
    mel = sum(timed(lambda chunk=chunk: front.hear(chunk)) for chunk in pcm(60))  # type: ignore[misc]
    return {"ratio": sum(costs) / 60, "ms_a_chunk": 1000 * statistics.median(costs), "front_end_ratio": mel / 60}


def together(encoder: AudioEncoder, streams: int = 12) -> Measured:
    """A chunk of each of 12 streams in one forward, half a minute into them, against a chunk's length."""
    live = [Stream(encoder) for _ in range(streams)]
    costs = [timed(lambda chunk=chunk: encoder.encode([one.hear(chunk) for one in live])) for chunk in pcm(20)]  # type: ignore[misc]
    return {"ratio": statistics.fmean(costs) / CHUNK, "worst": max(costs) / CHUNK, "ms_a_forward": 1000 * statistics.fmean(costs)}


def minutes(encoder: AudioEncoder) -> Measured:
    """The fifth minute of a stream against the first, and resident memory behind them."""
    stream, costs, resident = Stream(encoder), [], []
    chunks = pcm(300)
    for minute in range(5):
        part = chunks[minute * 150 : (minute + 1) * 150]
        costs.append(sum(timed(lambda chunk=chunk: stream.chunk(chunk)) for chunk in part))  # type: ignore[misc]
        resident.append(psutil.Process().memory_info().rss)
    return {"ratio": costs[4] / costs[0], "first_s": costs[0], "fifth_s": costs[4], "resident": resident[4] / resident[0]}


def against_reencoding(encoder: AudioEncoder) -> Measured:
    """30 s in chunks: the prefix encoded anew at every chunk, as an encoder without a cache must, against our stream."""
    chunks, front = pcm(30), Stream(encoder)
    mels = [front.hear(chunk).mel for chunk in chunks]
    prefixes = [
        MelFrames(torch.cat([mel.values for mel in mels[:end]]), [seen for mel in mels[:end] for seen in mel.seen])
        for end in range(1, len(mels) + 1)
    ]
    state = encoder.open()
    ours = sum(timed(lambda mel=mel: encoder.encode([Piece(state, mel)])) for mel in mels)  # type: ignore[misc]
    with torch.inference_mode():
        theirs = sum(timed(lambda prefix=prefix: encoder.whole([prefix])) for prefix in prefixes)  # type: ignore[misc]
    return {"ratio": theirs / ours, "streaming_s": ours, "reencoding_s": theirs}


ROWS: dict[str, tuple[str, str, float, Callable[[AudioEncoder], Measured]]] = {
    "real_time": ("work in a second of one stream, s", "at most", 0.15, real_time),
    "together": ("12 streams' chunks in one forward / a chunk's length", "at most", 1.0, together),
    "minutes": ("minute 5 / minute 1", "at most", 1.1, minutes),
    "reencoding": ("re-encoding / streaming, 30 s", "at least", 10.0, against_reencoding),
}
ENGINE_ROWS: dict[str, tuple[str, str, float, Callable[[Checkpoint], Measured]]] = {
    "session": ("work in a second of one session, a decision each 400 ms, s", "at most", 0.15, lambda it: hearing.one(it, pcm, CHUNK)),
    "sessions": ("sessions at once with p95 lag < 400 ms", "at least", 12, lambda it: hearing.many(it, pcm, CHUNK)),
}


def measured(options: argparse.Namespace) -> Iterator[tuple[str, tuple[str, str, float], Measured]]:
    """Each row's key, what it must reach, and what it did."""

    def wanted(key: str) -> bool:
        return not options.row or key in options.row

    if options.whisper:
        encoder = load_encoder(options.whisper, dtype=getattr(torch, options.dtype))
        pack_linears(encoder)
        for chunk in pcm(2):
            Stream(encoder).chunk(chunk)  # kernels are chosen at the first calls
        for key, (*row, measure) in ROWS.items():
            if wanted(key):
                yield key, tuple(row), measure(encoder)  # type: ignore[misc]  # three of four
    if options.checkpoint:
        checkpoint = load(options.checkpoint, dtype=options.dtype)
        hearing.warm(checkpoint, pcm, CHUNK)
        for key, (*row, measured) in ENGINE_ROWS.items():
            if wanted(key):
                yield key, tuple(row), measured(checkpoint)  # type: ignore[misc]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("whisper", nargs="?", help="what `proactivellm convert-whisper` takes or wrote, for the rows of the encoder alone")
    parser.add_argument("--checkpoint", help="one that hears, for the rows of whole sessions")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--row", action="append", choices=sorted({**ROWS, **ENGINE_ROWS}), help="only these rows")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    table = Table("what", "must reach", "measured", "", "details", title=f"audio, one thread, {options.dtype}")
    results: list[dict[str, object]] = []
    for key, (what, bound, target), found in measured(options):
        reached = found["ratio"] >= target if bound == "at least" else found["ratio"] <= target
        details = ", ".join(f"{part} {value:.4g}" for part, value in found.items() if part != "ratio")
        table.add_row(what, f"{bound} {target}", f"{found['ratio']:.3f}", "ok" if reached else "MISSED", details)
        results.append({"row": key, "what": what, "bound": bound, "target": target, "reached": reached, **found})
    Console().print(table)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps({"dtype": options.dtype, "torch": torch.__version__, "rows": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
