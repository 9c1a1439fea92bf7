"""`python -m claims.run PART …`: runs parts on test data, goes on where it was cut off, and puts what is committed into claims/results.

Knows files and flags; what is run is in parts.py, what is concluded elsewhere.
"""

import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from backbones.loading import Checkpoint, Dtype, load
from claims.choosing import points
from claims.measured import columns, fill
from claims.parts import PARTS, Part, is_plain
from claims.results import FOLDER, Growing, Header, Line, begun, publish, rounded
from errors import InvalidValueError, ProactiveError, UnknownNameError
from evaluation.evaluate import model_hash
from evaluation.probing import Limits, probe_items
from evaluation.progress import Progress, shown
from evaluation.sharing import backend_for
from evaluation.signal_test import PHI, scored
from tasks.data import data_hash
from tasks.example import Example

MODELS = {"translate": "checkpoints/translate-en-de", "answer": "checkpoints/answer", "transcribe": "checkpoints/transcribe-en"}
LIMITS = Limits(prefixes=10)  # of H0: enough probes an item, and a small file


def run(name: str, part: Part, checkpoint: Checkpoint, root: Path, work: Path, progress: Progress, limit: int | None = None) -> Path:
    """Runs what is missing of a part; the file in `work` that it grew into, complete.

    Raises what reading the data raises, and InvalidValueError where `work` holds another run of this name.
    """
    test = part.test(root, limit)
    path = work / f"{name}.jsonl"
    header = Header(
        name=name,
        model=checkpoint.name,
        model_hash=model_hash(checkpoint),
        task=part.task,
        data=part.names("test"),
        data_hash=data_hash(test),
        items=len(test),
        columns=columns(part.latencies, part.metrics),
        development=part.names("dev") if part.aims else (),
    )
    if part.probes:
        return _signals(path, header, checkpoint, test, progress)
    known = begun(path)
    chosen = list(known.points) if known else points(part, checkpoint, part.dev(root, limit) if part.aims else [], test, progress)
    header = header.model_copy(update={"points": tuple(chosen)})
    with Growing(path, header) as growing:
        progress.stage(name, len(test) - len(growing.done))
        backend = backend_for(checkpoint, part.task, test, item_by_item=True)
        fill(growing, backend, chosen, test, part.latencies, part.metrics, progress.advance)
    return path


def _signals(path: Path, header: Header, checkpoint: Checkpoint, test: Sequence[Example], progress: Progress) -> Path:
    """Minutes, and shuffled attention is of all items: begun anew if it was cut off."""
    if begun(path) is None or len(path.read_text(encoding="utf-8").split("\n")) != header.items + 2:
        path.unlink(missing_ok=True)
        seen = []
        progress.stage(header.name, len(test))
        for probes in probe_items(checkpoint, checkpoint.backbone, header.task, test, LIMITS):
            seen += probes
            progress.advance()
        scores = {name: values for name, values in scored(seen, checkpoint.backbone.vocab_size).items() if name != PHI}
        rows = defaultdict(list)
        for place, probe in enumerate(seen):
            rows[probe.item].append(rounded([probe.phi, probe.agrees, *(float(values[place]) for values in scores.values())]))
        header = header.model_copy(update={"columns": (PHI, "agrees", *scores)})
        with Growing(path, header) as growing:
            for number, example in enumerate(test):
                growing.add(Line(id=example.id, cluster=example.cluster, rows=tuple(rows[number])))
    return path


def main(
    parts: Annotated[list[str], typer.Argument(help=f"Of: {', '.join(PARTS)}.")],
    data: Annotated[Path, typer.Option(help="Folder of the data sets.")],
    model: Annotated[str | None, typer.Option(help="Checkpoint. [default: the shipped one of the task]", show_default=False)] = None,
    threads: Annotated[int, typer.Option(help="Threads for torch; on a busy machine fewer are faster.", min=1)] = 1,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    limit: Annotated[int | None, typer.Option(help="Only so many items, to try it: not put into the results.", show_default=False)] = None,
    work: Annotated[Path, typer.Option(help="Folder of runs that go on.")] = Path("runs/claims"),
    out: Annotated[Path, typer.Option(help="Folder of what is committed.")] = FOLDER,
) -> None:
    """Run parts of the claims on the test data. Minutes to hours each; a part that was cut off goes on when it is run again."""
    torch.set_num_threads(threads)
    for name in parts:
        if name not in PARTS:
            raise UnknownNameError("part", name, PARTS)
        part = PARTS[name]
        if model is None and is_plain(name):
            raise InvalidValueError(f"expected --model with {name}: the plain checkpoint is not shipped", param="model")
        checkpoint = load(model or MODELS[part.task], dtype=_dtype(dtype))
        with shown() as progress:
            path = run(name, part, checkpoint, data, work, progress, limit)
        print(path if limit else publish(path, out))


def _dtype(name: str) -> Dtype:
    return name  # type: ignore[return-value]  # load says what it expects


def command(main: Callable[..., None]) -> None:
    """Runs it on the arguments of this process; what it refuses is told in one line."""
    try:
        typer.run(main)
    except ProactiveError as error:
        sys.exit(error.message)


if __name__ == "__main__":
    command(main)
