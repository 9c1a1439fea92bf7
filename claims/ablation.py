"""`python -m claims.ablation`: trains every variant with every seed for as many steps, one after the other, and runs each on test items.

A variant whose results are there is skipped, a run that was cut off goes on. Concludes nothing.
"""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from backbones.loading import load
from claims.measured import columns, fill
from claims.parts import GNOME, LOHELP, NEEDLE, SQUAD, TATOEBA, Part
from claims.results import FOLDER, SUFFIX, Growing, Header, Point, publish
from claims.run import command
from claims.variants import RECIPES, VARIANTS, Recipe, configuration
from errors import UnknownNameError
from evaluation.evaluate import model_hash
from evaluation.progress import Progress, shown
from evaluation.sharing import backend_for
from tasks.data import data_hash
from tasks.example import Example
from training.memory import keep_freed
from training.run import train

# The same for every model, so that none is chosen by what it does to a score; with the full view they span every latency.
THRESHOLDS = (0.0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999)
POINTS = (*(Point(curve="entropy", threshold=value, purpose="curve") for value in THRESHOLDS), Point(curve="full", threshold=0.0))
# chrF, as the BLEU of models this small is near its floor.
JUDGED = {
    "translate": (Part("translate", (TATOEBA, LOHELP, GNOME), ("chrf",), ("LAAL",), min_words=6),),
    "answer": (Part("answer", (NEEDLE,), ("f1",)), Part("answer", (SQUAD,), ("f1",))),
}


def name_of(task: str, variant: str, seed: int) -> str:
    """Of a run's results."""
    return f"h4-{task}.{variant}.{seed}"


def items(task: str, data: Path, count: int) -> list[Example]:
    """`count` test items, as many of each part. Raises what Part.test raises."""
    parts = JUDGED[task]
    return [example for part in parts for example in replace(part, items=count // len(parts)).test(data)]


def evaluate(name: str, task: str, model: Path, test: list[Example], work: Path, progress: Progress) -> Path:
    """The model under every threshold; the file in `work`, complete."""
    part, checkpoint = JUDGED[task][0], load(str(model))
    header = Header(
        name=name,
        model=checkpoint.name,
        model_hash=model_hash(checkpoint),
        task=task,
        data=tuple(data for each in JUDGED[task] for data in each.names("test")),
        data_hash=data_hash(test),
        items=len(test),
        columns=columns(part.latencies, part.metrics),
        points=POINTS,
    )
    path = work / f"{name}.jsonl"
    with Growing(path, header) as growing:
        progress.stage(name, len(test) - len(growing.done))
        fill(growing, backend_for(checkpoint, task, test, item_by_item=True), POINTS, test, part.latencies, part.metrics, progress.advance)
    return path


def main(  # noqa: PLR0913, PLR0917 (one a flag)
    task: Annotated[str, typer.Argument(help=f"Of: {', '.join(RECIPES)}.")],
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    variant: Annotated[list[str] | None, typer.Option(help=f"Of: {', '.join(VARIANTS)}. [default: all]", show_default=False)] = None,
    seeds: Annotated[int, typer.Option(help="Seeds 0, 1, … of each variant.", min=1)] = 2,
    steps: Annotated[int | None, typer.Option(help="Steps of each run.", show_default=False)] = None,
    rows: Annotated[int | None, typer.Option(help="Packed rows of a step.", show_default=False)] = None,
    base: Annotated[str | None, typer.Option(help="Of answering: what adapters are added to.", show_default=False)] = None,
    count: Annotated[int, typer.Option("--items", help="Test items.", min=2)] = 200,
    threads: Annotated[int, typer.Option(help="Threads for torch.", min=1)] = 1,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the models.")] = False,
    work: Annotated[Path, typer.Option(help="Folder of the runs.")] = Path("runs/ablation"),
    out: Annotated[Path, typer.Option(help="Folder of what is committed.")] = FOLDER,
) -> None:
    """Train and judge what H4 compares. Seeds come first, so that a comparison is whole as early as can be."""
    if task not in RECIPES:
        raise UnknownNameError("task", task, RECIPES)
    torch.set_num_threads(threads)
    keep_freed()
    test = items(task, data, count)
    recipe = _recipe(RECIPES[task], steps, rows, base)
    for seed in range(seeds):
        for chosen in variant or VARIANTS:
            name = name_of(task, chosen, seed)
            if (out / (name + SUFFIX)).exists():
                continue
            folder = work / name
            model = train(configuration(task, chosen, seed, recipe, data, folder, threads=threads))
            with shown() as progress:
                print(publish(evaluate(name, task, model, test, work, progress), out))
            if not keep:
                shutil.rmtree(folder)


def _recipe(recipe: Recipe, steps: int | None, rows: int | None, base: str | None) -> Recipe:
    given = {"steps": steps, "rows": rows, "base": base}
    return replace(recipe, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]  # by name


if __name__ == "__main__":
    command(main)
