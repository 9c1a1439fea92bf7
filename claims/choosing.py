"""The points of a part: thresholds that are chosen on development data, the checkpoint's tiers, baselines. No test item is looked at.

Knows no file and no verdict.
"""

from collections.abc import Mapping, Sequence

from backbones.loading import Checkpoint
from claims.parts import Aim, Part
from claims.results import Point
from evaluation.calibration import Target, invert, latency
from evaluation.evaluate import first_thresholds, runs_of
from evaluation.policies import Policy, baselines
from evaluation.progress import Progress
from evaluation.record import Record
from evaluation.sharing import backend_for
from tasks.example import Example


def points(part: Part, checkpoint: Checkpoint, dev: Sequence[Example], test: Sequence[Example], progress: Progress) -> list[Point]:
    """All points of a part. `test` says only how long its longest source is, beyond which no wait-k goes."""
    found = _aimed(part, checkpoint, dev, progress) if part.aims else []
    found += [point for head in part.tiers for point in _tiers(checkpoint, part.task, head)]
    return found + [Point(curve=policy.name, threshold=policy.threshold) for policy in baselines(part.baselines, test)]


def _aimed(part: Part, checkpoint: Checkpoint, dev: Sequence[Example], progress: Progress) -> list[Point]:
    backend = backend_for(checkpoint, part.task, dev)
    grids = {head: [round(value, 6) for value in first_thresholds(head, dev, backend, part.grid, progress)] for head in part.heads}
    policies = [Policy(head, threshold) for head, grid in grids.items() for threshold in grid]
    policies += list({aim.of.label: aim.of for aim in part.aims if aim.of}.values())
    runs = runs_of("development items under every threshold", policies, dev, backend, progress)
    return [
        _point(head, aim, {threshold: runs[head, threshold] for threshold in grid}, runs)
        for head, grid in grids.items()
        for aim in part.aims
    ]


def _point(head: str, aim: Aim, curve: dict[float, list[Record]], runs: Mapping[tuple[str, float | None], list[Record]]) -> Point:
    target = aim.plus + (latency(runs[aim.of.name, aim.of.threshold], aim.metric) if aim.of else 0.0)
    threshold = round(invert(curve, Target(aim.purpose, aim.metric, target)), 6)
    return Point(curve=head, threshold=threshold, purpose=aim.purpose, metric=aim.metric, target=round(target, 4))


def _tiers(checkpoint: Checkpoint, task: str, head: str) -> list[Point]:
    """The calibrated ones, whose thresholds development data gave."""
    return [
        Point(curve=head, tier=name, purpose="tier", metric=tier.metric, target=tier.target)
        for name, tier in checkpoint.tiers.get(task, {}).get(head, {}).items()
        if tier.calibrated
    ]
