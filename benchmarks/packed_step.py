"""One packed training step against the paper's two forwards: time and memory, as ratios of one run, and what more views cost.

    python -m benchmarks.packed_step [--out FILE]

Both sides do the same work by the same functions: forward, the three losses, backward. Knows no data set and no optimizer.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from training.encoding import Item
from training.objective import Loss, PackedModel, losses
from training.views import Batch, collate, pack

# The shape of the checkpoint that a CPU trains from nothing: some 11 million parameters.
SHAPE = Qwen2Config(
    vocab_size=8192,
    hidden_size=320,
    intermediate_size=864,
    num_hidden_layers=7,
    num_attention_heads=5,
    num_key_value_heads=5,
    max_position_embeddings=2048,
    tie_word_embeddings=True,
)
# (source tokens, target tokens, examples a batch, target of the ratio with one view)
CASES = ((400, 10, 4, 0.60), (30, 30, 24, 0.85))
VIEWS = (1, 4)
ROUNDS = 7


def item(source: int, target: int, rng: np.random.Generator) -> Item:
    """Random ids; a token is a unit, and the last target token is the end."""
    ids = rng.integers(10, SHAPE.vocab_size, size=source + target)
    asked = np.ones(target, dtype=np.bool_)
    units = np.arange(source - 2)
    return Item("", ids[:source], 1, units, len(units), np.array([3]), ids[source:], asked, forbid_end=False)


def batches(source: int, target: int, size: int, views: int) -> tuple[Batch, Batch, list[Batch]]:
    """The packed batch, and the same as separate ones: the batch view, and each stream view."""
    rng = np.random.default_rng(0)
    items = [item(source, target, rng) for _ in range(size)]
    phis = [[np.sort(rng.integers(1, source, size=target)) for _ in range(views)] for _ in items]
    packed = collate([pack(of, drawn, batch_view=True, offset=0) for of, drawn in zip(items, phis, strict=True)])
    batch = collate([pack(of, [], batch_view=True, offset=0) for of in items])
    stream = [
        collate([pack(of, [drawn[view]], batch_view=False, offset=0) for of, drawn in zip(items, phis, strict=True)])
        for view in range(views)
    ]
    return packed, batch, stream


def packed_step(model: PackedModel, loss: Loss, packed: Batch) -> float:
    """One forward. Returns the loss."""
    total = losses(loss, model(packed).logits, packed.labels).total
    total.backward()  # type: ignore[no-untyped-call]
    return float(total.detach())


def separate_step(model: PackedModel, loss: Loss, batch: Batch, stream: list[Batch]) -> float:
    """A forward a view, as the paper has it. Returns the loss."""
    total = losses(loss, torch.cat([model(one).logits for one in (batch, *stream)]), batch.labels).total
    total.backward()  # type: ignore[no-untyped-call]
    return float(total.detach())


def alternately(model: PackedModel, *acts: Callable[[], object]) -> list[float]:
    """Median seconds of each, taken in turns after one round that does not count, so that noise hits all alike."""
    times: list[list[float]] = [[] for _ in acts]
    for number in range(ROUNDS + 1):
        for kept, act in zip(times, acts, strict=True):
            model.zero_grad(set_to_none=True)
            started = perf_counter()
            act()
            if number:
                kept.append(perf_counter() - started)
    return [median(kept) for kept in times]


def kept_bytes(model: PackedModel, act: Callable[[], object]) -> int:
    """Bytes that the forward keeps for the backward, each storage once and without the weights: what the peak grows by."""
    seen: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        seen[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        act()
    return sum(size for place, size in seen.items() if place not in weights)


def measure(model: PackedModel, source: int, target: int, size: int, views: int) -> dict[str, float]:
    """Ratios of packed to separate, and the packed step's milliseconds and MiB."""
    loss = Loss(views=views)
    packed, batch, stream = batches(source, target, size, views)
    difference = packed_step(model, loss, packed) - separate_step(model, loss, batch, stream)
    assert abs(difference) < 1e-3 * size * target, difference
    one, many = alternately(model, lambda: packed_step(model, loss, packed), lambda: separate_step(model, loss, batch, stream))
    ours = kept_bytes(model, lambda: packed_step(model, loss, packed))
    theirs = kept_bytes(model, lambda: separate_step(model, loss, batch, stream))
    return {"time": one / many, "memory": ours / theirs, "ms": 1000 * one, "mib": ours / 2**20}


def main() -> None:
    """Prints the table; writes it as JSON to `--out`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(SHAPE, attn_implementation="sdpa", dtype=torch.float32)  # type: ignore[no-untyped-call]
    model, found = PackedModel(plain), []
    for source, target, size, wanted in CASES:
        for views in VIEWS:
            row = measure(model, source, target, size, views)
            found.append({"source": source, "target": target, "views": views, **row})
            first = next(known for known in found if known["source"] == source)
            goal = f"(target {wanted})" if views == 1 else f"({row['ms'] / first['ms']:.2f} x the time of one view)"
            cost = f"{row['time']:.2f} x the time {goal}, {row['memory']:.2f} x the memory of separate forwards"
            print(f"M = {source}, L = {target}, K = {views}: {cost}; {row['ms']:.0f} ms, {row['mib']:.0f} MiB kept")
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
