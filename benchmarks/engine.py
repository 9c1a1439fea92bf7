"""`python -m benchmarks.engine`: the table of speed and memory, every row a ratio within one run. Knows targets and output only."""

import argparse
import json
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

import torch
import transformers
from rich.console import Console
from rich.table import Table

from backbones.loading import Checkpoint, load
from benchmarks import models, over_socket, rows

Measured = dict[str, float]
Bound = Literal["at least", "at most"]
Measure = Callable[[], Measured]


def measures(checkpoint: Checkpoint, folder: Path, threads: int) -> list[tuple[str, str, Bound, float, Measure]]:
    """(key, what, bound, target, how) of every row."""
    plain = models.plain(folder)
    return [
        ("batching", "16 sessions at once / one after another, tokens/s", "at least", 6.0, lambda: rows.batching(checkpoint)),
        ("decode", "decode step / transformers' cached step", "at most", 1.05, lambda: rows.decode_step(checkpoint, plain)),
        ("stream_512", "re-encoding / streaming, 512 words", "at least", 8.0, lambda: rows.against_reencoding(checkpoint, plain, 512)),
        ("stream_2048", "re-encoding / streaming, 2,048 words", "at least", 25.0, lambda: rows.against_reencoding(checkpoint, plain, 2048)),
        ("long", "read+probe at 4,096 / at 128 source tokens", "at most", 1.6, lambda: rows.long_source(checkpoint)),
        ("heads", "tick with entropy or attention / with no head", "at most", 1.05, lambda: rows.head_cost(checkpoint)),
        ("socket", "websocket / engine alone, tokens/s", "at least", 0.9, lambda: over_socket.socket_share(checkpoint, folder, threads)),
        ("capacity", "sessions in a GiB of KV / formula", "at least", 0.98, lambda: rows.sessions_in_a_gib(checkpoint)),
        ("memory", "resident after 5,000 sessions / 500", "at most", 1.02, lambda: over_socket.memory_growth(checkpoint, folder, threads)),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=["smollm2", "qwen-shape"], action="append", help="default: both")
    parser.add_argument("--row", action="append", help="only these rows, by key")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    console = Console()
    table = Table("model", "what", "must reach", "measured", "", "details", title=f"{options.threads} threads, bfloat16")
    results: list[dict[str, object]] = []
    with models.folders(options.model or ["smollm2", "qwen-shape"]) as folders:
        for name, folder in folders.items():
            checkpoint = load(str(folder), dtype="bfloat16")
            for key, what, bound, target, measure in measures(checkpoint, folder, options.threads):
                if options.row and key not in options.row:
                    continue
                console.print(f"{name}: {what} …", style="dim")
                found = measure()
                reached = found["ratio"] >= target if bound == "at least" else found["ratio"] <= target
                details = ", ".join(f"{part} {value:.4g}" for part, value in found.items() if part != "ratio")
                table.add_row(name, what, f"{bound} {target}", f"{found['ratio']:.3f}", "ok" if reached else "MISSED", details)
                console.print(f"{found['ratio']:.3f} ({details})", style="dim")
                results.append({"model": name, "row": key, "what": what, "bound": bound, "target": target, "reached": reached, **found})
    console.print(table)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        versions = {"python": platform.python_version(), "torch": torch.__version__, "transformers": transformers.__version__}
        options.out.write_text(json.dumps({"threads": options.threads, **versions, "rows": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
