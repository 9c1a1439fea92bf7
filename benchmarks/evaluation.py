"""`python -m benchmarks.evaluation`: many items at a time against one at a time, and against transformers' batch `generate`.

Knows the runner and transformers; every figure is a ratio within one run.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from backbones.loading import Checkpoint, load
from benchmarks.models import plain
from benchmarks.rows import TEXT, seconds
from engine.request import resolve
from evaluation.backends import OnEngine
from evaluation.policies import Policy
from tasks.data import read_data
from tasks.example import Example

SLOTS, MAX_OUTPUT, TARGET = 16, 24, 5.0
STREAMING, BATCH = Policy("wait_k", 3.0), Policy("full")


def made(count: int) -> list[Example]:
    """Sources of 5 to 20 common words, for want of data."""
    words = TEXT.split()
    sources = (" ".join(words[(7 * i + j) % len(words)] for j in range(5 + i % 16)) for i in range(count))
    return [Example(f"made:{i}", source, ("",)) for i, source in enumerate(sources)]


def through_engine(checkpoint: Checkpoint, task: str, policy: Policy, examples: Sequence[Example], slots: int) -> float:
    """Seconds for all items, `slots` at a time."""
    backend = OnEngine(checkpoint, task, slots, MAX_OUTPUT)
    jobs = [(policy, example) for example in examples]
    return seconds(lambda: sum(1 for _ in backend.run(jobs)))


def generating(checkpoint: Checkpoint, task: str, model: Any, examples: Sequence[Example]) -> float:
    """Seconds for all items with `generate`, greedy, padded batches of as many items, sorted by length as its users do."""
    frame, rows = checkpoint.frame, []
    for example in examples:
        settings = resolve(checkpoint, BATCH.request(task, example))
        rows.append([*settings.prefix, *checkpoint.codec.encode(example.source).tokens, *frame.source_end, *frame.header])
    rows.sort(key=len)

    @torch.inference_mode()
    def all_of_them() -> None:
        for start in range(0, len(rows), SLOTS):
            some = rows[start : start + SLOTS]
            width = max(map(len, some))
            tokens = torch.tensor([[0] * (width - len(row)) + row for row in some])
            mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in some])
            model.generate(
                input_ids=tokens,
                attention_mask=mask,
                max_new_tokens=MAX_OUTPUT,
                do_sample=False,
                eos_token_id=list(frame.end),
                pad_token_id=0,
            )

    return seconds(all_of_them)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints a table, writes JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="checkpoints/smollm2")
    parser.add_argument("--task", default="translate")
    parser.add_argument("--data", help="default: sources made of common words")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--out", type=Path, help="JSON file")
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    checkpoint = load(options.model, dtype=options.dtype)
    examples = read_data(options.data, options.task)[: options.items] if options.data else made(options.items)
    through_engine(checkpoint, options.task, STREAMING, examples[:SLOTS], SLOTS)  # first times do not count
    together = through_engine(checkpoint, options.task, STREAMING, examples, SLOTS)
    alone = through_engine(checkpoint, options.task, STREAMING, examples, 1)
    batch = through_engine(checkpoint, options.task, BATCH, examples, SLOTS)
    reference = generating(checkpoint, options.task, plain(Path(options.model), options.dtype), examples)
    table = Table(
        "what", "must reach", "measured", title=f"{len(examples)} items, {options.threads} threads, {checkpoint.name}, {options.dtype}"
    )
    table.add_row("16 at a time / one at a time, time saved", f"at least {TARGET}", f"{alone / together:.2f}")
    table.add_row("transformers' batch generate / full view here, time", "", f"{reference / batch:.2f}")
    table.add_row("transformers' batch generate / wait-3 here, time", "", f"{reference / together:.2f}")
    Console().print(table)
    if options.out:
        found = {"items": len(examples), "together_s": together, "alone_s": alone, "full_s": batch, "generate_s": reference}
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(
            json.dumps({"model": checkpoint.name, "threads": options.threads, "dtype": options.dtype, **found}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
