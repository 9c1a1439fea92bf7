"""`proactivellm calibrate`: flags to targets, a progress bar, and a table of what was found. Measures nothing itself."""

from pathlib import Path
from typing import Annotated

import typer


def calibrate(  # noqa: PLR0913, PLR0917 (one a flag)
    model: Annotated[str, typer.Option(help="Folder, .gguf file or hub name.")],
    task: Annotated[str, typer.Option(help="Task of the model.")],
    data: Annotated[str, typer.Option(help="Development data, never test data: a file, or needle:dev:COUNT[:SEED].")],
    head: Annotated[
        list[str] | None, typer.Option(help="Decision head; repeat for several. [default: the task's]", show_default=False)
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="[TIER:]rco=0.80, ail=3, laal=4 or lag=800; repeat for several. [default: the task's]", show_default=False),
    ] = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option(help="To begin with, of one head; repeat for several. [default: eight, of its own scores]", show_default=False),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the settings, if not the model's own.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many items, spread evenly over the data, which may be sorted.", min=1)] = 300,
    adapter: Annotated[str | None, typer.Option(help="Folder with a LoRA for the model; the settings are written there.")] = None,
    merge_adapter: Annotated[
        bool, typer.Option("--merge-adapter/--no-merge-adapter", help="Add adapters to the weights, or compute them beside.")
    ] = True,
    keep_heads: Annotated[bool, typer.Option("--keep-heads", help="Do not select attention heads anew.")] = False,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    threads: Annotated[
        int | None,
        typer.Option(help="Threads for torch; on a busy machine fewer are faster. [default: torch's choice]", show_default=False),
    ] = None,
) -> None:
    """Find the thresholds of latency tiers on development data, and select the attention heads that tell what is sufficient.

    Writes tiers.json and, for heads that look at attention, attention_heads of proactivellm.json.
    """
    import torch  # noqa: PLC0415 (seconds to import; --help must not)
    from rich.console import Console  # noqa: PLC0415 (only what the command needs is imported)
    from rich.table import Table  # noqa: PLC0415

    from backbones.loading import load  # noqa: PLC0415
    from errors import InvalidValueError, UnknownNameError  # noqa: PLC0415
    from evaluation import tune  # noqa: PLC0415
    from evaluation.calibration import Target, parse_targets  # noqa: PLC0415
    from evaluation.progress import shown  # noqa: PLC0415
    from tasks.data import read_data  # noqa: PLC0415

    if threads:
        torch.set_num_threads(threads)
    if adapter and out:
        raise InvalidValueError("expected no --out with --adapter: settings found with an adapter belong to its folder", param="out")
    checkpoint = load(model, dtype=dtype, device=device, adapter=adapter, merge_adapter=merge_adapter)  # type: ignore[arg-type]  # load says what it expects
    if task not in checkpoint.config.tasks:
        raise UnknownNameError("task", task, checkpoint.config.tasks)
    spec = checkpoint.config.tasks[task]
    targets = parse_targets(target) if target else [Target(name, "rco", value) for name, value in spec.tier_targets.items()]
    every = read_data(data, task)
    examples = [every[i * len(every) // limit] for i in range(limit)] if len(every) > limit else every
    folder = tune.folder_for(model, Path(adapter) if adapter else out)
    chosen = head or [spec.default_head]
    if threshold and len(chosen) > 1:
        raise InvalidValueError(f"expected one head with thresholds to begin with; got {', '.join(chosen)}", param="threshold")
    console = Console()
    if not keep_heads and any(map(tune.needs_attention, chosen)):
        checkpoint, pairs = tune.select(checkpoint, task, examples, folder)
        console.print("attention heads (layer, head): area under the ROC curve for agreement with the full view")
        console.print(", ".join(f"({layer}, {number}): {area:.3f}" for (layer, number), area in pairs), highlight=False)
    table = Table("head", "tier", "target", "achieved", "threshold", title=f"{task} on {len(examples)} items of {Path(data).name}")
    with shown() as progress:
        for name in chosen:
            for found in tune.tiers(checkpoint, task, name, examples, targets, folder, progress, threshold or ()):
                wanted = f"{found.target.metric} {found.target.value:g}"
                table.add_row(name, found.target.tier, wanted, f"{found.achieved:.3f}", f"{found.threshold:.6g}")
    console.print(table)
    console.print(f"Written to {folder}", highlight=False)
