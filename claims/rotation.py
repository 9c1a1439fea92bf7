"""`python -m claims.rotation`: a model of spoken digits for every speaker, who is kept for testing while the others are trained on.

A speaker whose results are there is skipped, and a training that was cut off goes on; several processes may share the speakers. Concludes
nothing.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer

from backbones.loading import load
from claims.parts import DATA, DIGITS_POINT, PARTS, Aim, Part
from claims.results import FOLDER, SUFFIX, publish
from claims.run import command, run
from claims.speech import DIGITS, TURN
from errors import InvalidValueError
from evaluation.progress import shown
from recipes import digits
from training.config import Config, read_config
from training.memory import keep_freed
from training.run import train

SPEAKER = "SPEAKER"  # stands for one in the paths of the configuration
COUNT, TEST_COUNT = 1500, 100  # sequences of each speaker that is trained on; for testing
# Judged at half of the lag that is asked for, as speakers differ in it; and where the shipped model is.
AIMS = (Aim(DIGITS_POINT, "lag", 500), Aim("curve", "rco", 0.58))
REPEATS = 0.3  # of the digits for training, as those of checkpoints/transcribe-en


def part_of(speaker: str) -> Part:
    """What is run on the speaker's digits: all of them, with the head of the claim."""
    data = (f"{DATA}{speaker}/%s.jsonl",)
    return replace(PARTS[DIGITS], data=data, items=None, dev_items=24, heads=("entropy",), aims=AIMS, baselines=("full",))


def without(speaker: str, config: Config, threads: int) -> Config:
    """The configuration of the model that does not hear the speaker. Raises InvalidValueError where it would be the same for all."""
    data = tuple(one.model_copy(update={"data": one.data.replace(SPEAKER, speaker)}) for one in config.data)
    out = Path(str(config.run.out).replace(SPEAKER, speaker))
    if data == config.data or out == config.run.out:
        raise InvalidValueError(f"expected {SPEAKER} in the paths of data and of run.out; got {config.run.out}", param="config")
    return config.model_copy(update={"data": data, "run": config.run.model_copy(update={"out": out, "threads": threads})})


def main(
    data: Annotated[Path, typer.Option(help="Folder with recordings.tar.")],
    config: Annotated[Path, typer.Option(help=f"How each is trained; {SPEAKER} stands for one in its paths.")] = Path(
        "configs/rotation.toml"
    ),
    threads: Annotated[int, typer.Option(help="Threads for torch.", min=1)] = 1,
    speaker: Annotated[list[str] | None, typer.Option(help="Only without this one; repeat for several.", show_default=False)] = None,
    work: Annotated[Path, typer.Option(help="Folder of the speakers' data, and of runs that go on.")] = Path("runs/rotation"),
    out: Annotated[Path, typer.Option(help="Folder of what is committed.")] = FOLDER,
) -> None:
    """Train and judge a model without each speaker in turn."""
    torch.set_num_threads(threads)
    keep_freed()
    settings, found = read_config(config), digits.read(data)
    for kept in speaker or sorted(found):
        name = TURN + kept
        if (out / (name + SUFFIX)).exists():
            continue
        digits.make(found, work / kept, kept, count=COUNT, test_count=TEST_COUNT, repeats=REPEATS)
        model = train(without(kept, settings, threads))
        with shown() as progress:
            print(publish(run(name, part_of(kept), load(str(model)), work, work, progress), out))


if __name__ == "__main__":
    command(main)
