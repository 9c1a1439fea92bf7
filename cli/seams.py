"""`proactivellm seams`: flags to a measurement at the seams of endless streams, and its result in a table. Measures nothing itself."""

import random
from typing import Annotated

import typer


def seams(  # noqa: PLR0913, PLR0917 (one a flag)
    model: Annotated[str, typer.Option(help="Folder, .gguf file or hub name.")],
    task: Annotated[str, typer.Option(help="Task of the model.")],
    data: Annotated[str, typer.Option(help="Test data, whose items are joined to streams in their order.")],
    head: Annotated[str | None, typer.Option(help="Decision head. [default: the task's]", show_default=False)] = None,
    tier: Annotated[str | None, typer.Option(help="Latency tier. [default: the task's]", show_default=False)] = None,
    threshold: Annotated[float | None, typer.Option(help="Threshold, instead of a tier.", show_default=False)] = None,
    metric: Annotated[str, typer.Option(help="Quality of an item: chrf, bleu, wer, …")] = "chrf",
    slot_length: Annotated[int, typer.Option(help="Tokens of the longest slot; others are shorter, so that seams fall elsewhere.")] = 1024,
    stream_items: Annotated[int, typer.Option(help="Items of one stream.", min=2)] = 100,
    shuffle: Annotated[int | None, typer.Option(help="Seed of another order of the items, before any limit.", show_default=False)] = None,
    limit: Annotated[int | None, typer.Option(help="At most so many items.", min=2, show_default=False)] = None,
    slots: Annotated[int, typer.Option(help="Streams at once.", min=1)] = 8,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    threads: Annotated[int | None, typer.Option(help="Threads for torch. [default: torch's choice]", show_default=False)] = None,
) -> None:
    """Measure whether endless streams are as good near the seams of their slots as elsewhere (docs/streams.md)."""
    import torch  # noqa: PLC0415 (seconds to import; --help must not)
    from rich.console import Console  # noqa: PLC0415 (only what the command needs is imported)
    from rich.table import Table  # noqa: PLC0415

    from backbones.loading import load  # noqa: PLC0415
    from errors import UnknownNameError  # noqa: PLC0415
    from evaluation.policies import Policy  # noqa: PLC0415
    from evaluation.quality import QUALITY  # noqa: PLC0415
    from evaluation.seams import DISTANCE, measure  # noqa: PLC0415
    from tasks.data import read_data  # noqa: PLC0415

    if threads:
        torch.set_num_threads(threads)
    if metric not in QUALITY:
        raise UnknownNameError("metric", metric, QUALITY)
    checkpoint = load(model, dtype=dtype, device=device)  # type: ignore[arg-type]  # load says what it expects
    if task not in checkpoint.config.tasks:
        raise UnknownNameError("task", task, checkpoint.config.tasks)
    policy = Policy(head or checkpoint.config.tasks[task].default_head, threshold=threshold, tier=tier)
    examples = read_data(data, task)
    if shuffle is not None:
        random.Random(shuffle).shuffle(examples)  # noqa: S311 (an order)
    found = measure(
        checkpoint,
        task,
        examples[:limit],
        policy,
        metric=metric,
        slot_length=slot_length,
        stream_items=stream_items,
        slots=slots,
    )
    title = f"{policy.label}: {found.seams} seams, {found.quality.items} items both near one and elsewhere"
    table = Table("", f"within {DISTANCE} words of a seam", "elsewhere", "difference", "95% interval", title=title)
    for row in (found.quality, found.length):
        low, high = row.difference.low, row.difference.high
        table.add_row(row.name, f"{row.near:.3f}", f"{row.elsewhere:.3f}", f"{row.difference.value:+.3f}", f"[{low:+.3f}, {high:+.3f}]")
    Console().print(table)
