"""`python -m claims.rotation`: a model of spoken digits for every speaker, who is kept for testing while the others are trained on.

A speaker whose results are there is skipped. Concludes nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from backbones.loading import load
from claims.parts import DATA, DIGITS_POINT, PARTS, Part
from claims.results import FOLDER, SUFFIX, publish
from claims.run import command, run, told
from recipes import digits
from training.config import Config, read_config
from training.run import train

PART = "speech-digits"
STAGES = [Path("configs/digits.ctc.toml"), Path("configs/digits.toml")]
COUNTS = {"count": 1500, "test_count": 150}  # sequences of each speaker that is trained on; for testing


def name_of(speaker: str) -> str:
    """Of a run's results."""
    return f"{PART}.{speaker}"


def part_of(speaker: str) -> Part:
    """What is run on the speaker's digits: one head at the judged point."""
    aims = tuple(aim for aim in PARTS[PART].aims if aim.purpose == DIGITS_POINT)
    return replace(PARTS[PART], data=(f"{DATA}{speaker}/%s.jsonl",), items=None, heads=("entropy",), aims=aims, baselines=("full",))


def trained(stages: Sequence[Config], work: Path, speaker: str, threads: int) -> Path:
    """The stages on the data without the speaker, each but the first from where the one before it ended. The last one's checkpoint."""
    model: Path | None = None
    for number, stage in enumerate(stages):
        data = tuple(one.model_copy(update={"data": str(work / speaker / "train.jsonl")}) for one in stage.data)
        run = stage.run.model_copy(update={"out": work / f"{speaker}.{number}", "threads": threads})
        base = stage.model if model is None else stage.model.model_copy(update={"base": str(model)})
        model = train(stage.model_copy(update={"data": data, "run": run, "model": base}))
    assert model is not None
    return model


def main(
    data: Annotated[Path, typer.Option(help="Folder with recordings.tar.")],
    config: Annotated[list[Path], typer.Option(help="The stages in which each is trained.")] = STAGES,
    threads: Annotated[int, typer.Option(help="Threads for torch.", min=1)] = 1,
    work: Annotated[Path, typer.Option(help="Folder of data and runs.")] = Path("runs/rotation"),
    out: Annotated[Path, typer.Option(help="Folder of what is committed.")] = FOLDER,
) -> None:
    """Train and judge a model without each speaker in turn."""
    torch.set_num_threads(threads)
    stages, found = [read_config(path) for path in config], digits.read(data)
    for speaker in sorted(found):
        name = name_of(speaker)
        if (out / (name + SUFFIX)).exists():
            continue
        digits.make(found, work / speaker, speaker, **COUNTS)
        model = trained(stages, work, speaker, threads)
        with told() as progress:
            print(publish(run(name, part_of(speaker), load(str(model)), work, work, progress), out))


if __name__ == "__main__":
    command(main)
