"""Calibrates a checkpoint for a task: selects its attention heads, finds the tiers' thresholds, and writes both beside the weights.

Works on development data only. Knows no flag and prints nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import heads
from backbones.backbone import Backbone
from backbones.checkpoint import Tier, copy_settings, write_attention_heads, write_tiers
from backbones.loading import Checkpoint
from errors import InvalidValueError
from evaluation.calibration import FIRST, Found, Target, calibrate
from evaluation.evaluate import first_thresholds, runs_of
from evaluation.policies import Policy
from evaluation.probing import Limits
from evaluation.progress import Progress
from evaluation.record import Record
from evaluation.sharing import backend_for
from evaluation.signal_test import select_pairs
from tasks.data import data_hash
from tasks.example import Example

REQUIRED: dict[str, dict[str, int]] = {"fixed_fraction": {"source_length": 1}}  # parameters without which a head cannot be made
SELECTED_ON = 40  # items: enough to tell heads apart (docs/log.md)


def folder_for(reference: str, out: Path | None) -> Path:
    """The folder that is written: `out`, made a checkpoint that points to the model's weights, or the model's own folder.

    Raises InvalidValueError where the model is in no folder and `out` is missing.
    """
    model = Path(reference)
    if out is None:
        if not model.is_dir():
            raise InvalidValueError(f"expected --out FOLDER for the settings, as {reference!r} is no folder", param="out")
        return model
    if out.resolve() != model.resolve():
        copy_settings(reference, out)
    return out


def select(
    checkpoint: Checkpoint, task: str, examples: Sequence[Example], folder: Path
) -> tuple[Checkpoint, list[tuple[tuple[int, int], float]]]:
    """The checkpoint with its best (layer, head) pairs, and their areas; written to `folder`. Raises what `select_pairs` raises."""
    found = select_pairs(checkpoint, task, examples[:SELECTED_ON], Limits())
    pairs = [pair for pair, _ in found]
    write_attention_heads(folder, pairs, stale=[name for name in heads.known() if needs_attention(name)])
    backbone = Backbone(checkpoint.backbone.model, offset=checkpoint.backbone.offset, pairs=pairs)
    return replace(checkpoint, backbone=backbone), found


def tiers(
    checkpoint: Checkpoint,
    task: str,
    head: str,
    examples: Sequence[Example],
    targets: Sequence[Target],
    folder: Path,
    progress: Progress,
    first: Sequence[float] = (),
) -> list[Found]:
    """The thresholds of the targets, written to the folder's tiers.json.

    first: thresholds to begin with; none: quantiles of the head's scores, the lowest of which may let the model babble for minutes
    Raises InvalidValueError without scores or word_ends.
    """
    if any(target.metric == "lag" for target in targets) and not any(example.word_ends for example in examples):
        raise InvalidValueError(f"expected recordings with word_ends for a lag; got none of {len(examples)}", param="target")
    backend = backend_for(checkpoint, task, examples)

    def measure(thresholds: Sequence[float]) -> dict[float, list[Record]]:
        stage = f"{head} at {', '.join(f'{threshold:.4g}' for threshold in thresholds)}"
        runs = runs_of(stage, [Policy(head, threshold) for threshold in thresholds], examples, backend, progress)
        return {threshold: runs[head, threshold] for threshold in thresholds}

    found = calibrate(measure, list(first) or first_thresholds(head, examples, backend, FIRST, progress), targets)
    entries = {
        one.target.tier: Tier(
            threshold=one.threshold,
            metric=one.target.metric,
            target=one.target.value,
            achieved=round(one.achieved, 4),
            calibrated=True,
            data=data_hash(examples),
            date=datetime.now(UTC).date().isoformat(),
        )
        for one in found
    }
    write_tiers(folder, task, head, entries)
    return found


def needs_attention(head: str) -> bool:
    """True for a head whose score depends on which (layer, head) pairs are tapped. Raises UnknownNameError."""
    return "attention" in heads.create(head, **REQUIRED.get(head, {})).needs
