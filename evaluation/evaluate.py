"""One evaluation: which policies, on which items, by which backend, into which folder. Reads as the experiment: run, match, summarise.

Knows neither flags nor how a report looks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from backbones.loading import Checkpoint
from errors import InvalidValueError
from evaluation.calibration import Target, invert, latency, quantiles
from evaluation.drive import Job
from evaluation.policies import Policy, baselines
from evaluation.progress import Progress
from evaluation.record import Record
from evaluation.store import Store
from tasks.example import Example

NEVER = 1e9  # a threshold that no head's score reaches: the head is asked at every prefix, and the target written at the source end
LOWER = 4  # times that a lower threshold is tried for a sweep
TRIED = 40  # items whose scores a sweep's thresholds are taken from


class Backend(Protocol):
    """Runs jobs: the engine, or a server."""

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        """Records as they end."""
        ...


@dataclass(frozen=True)
class Plan:
    """What is to be run. `sweep`: thresholds a head, or how many to take from its own scores; None: no sweep."""

    heads: Sequence[str]
    thresholds: Sequence[float] = ()
    tiers: Sequence[str] = ()
    sweep: int | None = None
    baselines: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """records: of the plan's policies and items; matches: label of a policy -> label of the random gate that was matched to it."""

    records: list[Record]
    matches: Mapping[str, str]


def run(plan: Plan, examples: Sequence[Example], backend: Backend, store: Store, progress: Progress) -> Outcome:
    """Runs what the store does not have yet; what else the store holds, of other items or policies, stays out of the outcome."""
    points = [point for head in plan.heads for point in _points(plan, head, examples, backend, progress)]
    policies = [*points, *baselines(plan.baselines, examples)]
    _fill("heads and baselines", policies, examples, backend, store, progress)
    matches: dict[str, Policy] = {}
    if "random" in plan.baselines:
        matches = match_random(points, store.records)
        _fill("random gates of equal coverage", list(matches.values()), examples, backend, store, progress)
    labels = {policy.label for policy in (*policies, *matches.values())}
    ids = {example.id for example in examples}
    records = [record for record in store.records if record.policy in labels and record.id in ids]
    return Outcome(records, {label: policy.label for label, policy in matches.items()})


def match_random(points: Sequence[Policy], records: Sequence[Record]) -> dict[str, Policy]:
    """For each policy, by label, the random gate whose mean RCO comes nearest to its own, by the random curve that was run."""
    by_label: dict[str, list[Record]] = {}
    for record in records:
        by_label.setdefault(record.policy, []).append(record)
    curve = {some[0].threshold: some for some in by_label.values() if some[0].curve == "random" and some[0].threshold is not None}
    found = {}
    for point in points:
        target = Target("", "rco", latency(by_label[point.label], "rco"))
        # Rounded, so that a run that goes on after a break finds the same policy.
        found[point.label] = Policy("random", round(invert(curve, target), 4))
    return found


def _points(plan: Plan, head: str, examples: Sequence[Example], backend: Backend, progress: Progress) -> list[Policy]:
    found = [Policy(head, threshold) for threshold in plan.thresholds] + [Policy(head, tier=tier) for tier in plan.tiers]
    if plan.sweep:
        found += [Policy(head, round(value, 6)) for value in first_thresholds(head, examples, backend, plan.sweep, progress)]
    return found or [Policy(head)]


def first_thresholds(head: str, examples: Sequence[Example], backend: Backend, count: int, progress: Progress) -> list[float]:
    """Quantiles of the head's scores on some items. No reference is looked at.

    At every prefix: what it says before anything is written. Then at the least of those scores, where it writes, and so on: the lowest ones
    belong to later tokens. Raises InvalidValueError for a head that gave no score.
    """
    some = examples[:TRIED]

    def scores(threshold: float, when: str) -> list[float]:
        progress.stage(f"scores of {head} {when}", len(some))
        found: list[float] = []
        for record in backend.run([(Policy(head, threshold), example) for example in some]):
            found += [score for _, _, score, _ in record.decisions if score is not None]
            progress.advance()
        if not found:
            raise InvalidValueError(
                f"expected a head with scores to take thresholds from; {head!r} gave none on {len(some)} items: name a threshold, or run "
                "it as a baseline",
                param="head",
            )
        return found

    found = scores(NEVER, "before it writes")
    for _ in range(LOWER):
        least = min(found)
        found += scores(least, "while it writes")
        if min(found) == least:
            break
    return quantiles(found, count)


def runs_of(
    stage: str, policies: Sequence[Policy], examples: Sequence[Example], backend: Backend, progress: Progress
) -> dict[tuple[str, float | None], list[Record]]:
    """By name and threshold of a policy its records, without their decisions. Jobs come item by item, so that policies share an item."""
    jobs = [(policy, example) for example in examples for policy in policies if policy.suits(example)]
    progress.stage(stage, len(jobs))
    runs: dict[tuple[str, float | None], list[Record]] = {(policy.name, policy.threshold): [] for policy in policies}
    for record in backend.run(jobs):
        runs[record.curve, record.threshold].append(record.model_copy(update={"decisions": ()}))
        progress.advance()
    return runs


def _fill(stage: str, policies: Sequence[Policy], examples: Sequence[Example], backend: Backend, store: Store, progress: Progress) -> None:
    by_label = {policy.label: policy for policy in policies}
    jobs = [(policy, example) for policy in by_label.values() for example in examples if policy.suits(example)]
    missing = store.missing((policy.label, example.id) for policy, example in jobs)
    left = [(policy, example) for policy, example in jobs if (policy.label, example.id) in missing]
    progress.stage(stage, len(left))
    for record in backend.run(left):
        store.add(record)
        progress.advance()


def model_hash(checkpoint: Checkpoint) -> str | None:
    """sha256, hex, over the files of weights and adapter in the order of their names; None where the weights are not in a folder."""
    files = sorted(Path(checkpoint.weights).glob("*.safetensors")) if checkpoint.weights else []
    if files and checkpoint.adapter:
        files += sorted(Path(checkpoint.adapter).glob("*.safetensors"))
    digest = sha256()
    for file in files:
        with file.open("rb") as opened:
            while block := opened.read(1 << 20):
                digest.update(block)
    return digest.hexdigest() if files else None
