"""What an evaluation found, in one value that is written as summary.json: every number with its interval, comparisons, tiers.

Knows records and what was compared; knows no page and no model.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from math import isnan

from pydantic import BaseModel, ConfigDict

from errors import InvalidValueError, UnknownNameError
from evaluation.bootstrap import Interval
from evaluation.compare import Area, Comparison, Figure, areas, at_equal_latency, kept
from evaluation.latency import LATENCY
from evaluation.quality import QUALITY
from evaluation.record import Record
from evaluation.store import Run
from evaluation.table import Table, interval

SUMMARY = "summary.json"
SEED = 0
RCO_TOLERANCE, WORDS_TOLERANCE, MS_TOLERANCE = 0.03, 0.4, 160.0  # a word takes some 400 ms


class Signal(BaseModel):
    """One predictor of H0: its area under the ROC curve, and that minus the area of phi alone."""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)
    name: str
    auc: Figure
    against_phi: Figure


class SignalSummary(BaseModel):
    """H0: does a score say that the prefix's next token equals the full view's?"""

    model_config = ConfigDict(extra="forbid", frozen=True, from_attributes=True)
    n_items: int
    n_probes: int
    rows: tuple[Signal, ...]


class TierTarget(BaseModel):
    """What a tier was calibrated for, on development data.

    metric: a latency's name, in any case; convention: of `words`, `words_by_word` and `tokens` the one that it was calibrated in
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    metric: str
    target: float
    achieved_on_development: float | None = None
    convention: str = "words"


class TierResult(BaseModel):
    """How far a tier landed from its target on these data; `landed` is of the number itself: within 0.03 RCO, or 0.4 words, or 160 ms.

    Reported and not retuned. `landed` is None where there is no number.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    policy: str
    target: TierTarget
    achieved: Figure
    landed: bool | None


class PolicySummary(BaseModel):
    """One policy: one point of a curve.

    items:   how many its numbers are of
    figures: group -> name -> number; groups and names as in `Table.rows`
    kept:    metric -> percent of the full view's quality, where `full` was run
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    label: str
    curve: str
    baseline: bool
    threshold: float | None
    items: int
    figures: dict[str, dict[str, Figure]]
    kept: dict[str, Figure]


class Summary(BaseModel):
    """All of it. `items` and `clusters` are what was resampled; `notes` are sentences about what the numbers do not cover."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    run: Run
    date: str
    version: str
    items: int
    clusters: int
    resamples: int
    seed: int
    metrics: tuple[str, ...]
    policies: tuple[PolicySummary, ...]
    comparisons: tuple[Comparison, ...]
    areas: tuple[Area, ...]
    matched: dict[str, str]
    signal: SignalSummary | None
    tiers: tuple[TierResult, ...]
    notes: tuple[str, ...]


def summarise(
    run: Run,
    records: Sequence[Record],
    metrics: Sequence[str],
    *,
    signal: SignalSummary | None = None,
    tiers: Mapping[str, TierTarget] | None = None,
    matched: Mapping[str, str] | None = None,
    date: str | None = None,
    resamples: int = 2000,
) -> Summary:
    """Everything on the items that all policies have, with one set of resamples; the same input gives the same summary.

    metrics: names in QUALITY, the main one first
    tiers:   label of a policy (`entropy:low`) -> its target; those that were not run are left out
    matched: label of a head's point -> label of the policy chosen to read as much
    date:    ISO; today (UTC) where None
    Raises UnknownNameError for a metric or a policy that is not known, InvalidValueError for no metric and for policies that share no item.
    """
    if not metrics:
        raise InvalidValueError("expected at least one quality metric, got none", param="metrics")
    for name in metrics:
        if name not in QUALITY:
            raise UnknownNameError("metric", name, QUALITY)
    table = Table(records, metrics, pace=run.pace, count=resamples, seed=SEED)
    return Summary(
        run=run,
        date=date or datetime.now(UTC).date().isoformat(),
        version=version("proactivellm"),
        items=len(table.items),
        clusters=table.resamples.clusters,
        resamples=resamples,
        seed=SEED,
        metrics=tuple(metrics),
        policies=tuple(_policy(table, label) for label in table.labels),
        comparisons=tuple(one for name in metrics for one in at_equal_latency(table, name, matched=matched)),
        areas=tuple(one for name in metrics for one in areas(table, name)),
        matched=dict(matched or {}),
        signal=signal,
        tiers=tuple(_tier(table, label, target, run) for label, target in (tiers or {}).items() if label in table.labels),
        notes=tuple(_notes(table)),
    )


def _policy(table: Table, label: str) -> PolicySummary:
    figures: dict[str, dict[str, Interval]] = {}
    for (group, name), row in table.rows(label).items():
        figures.setdefault(group, {})[name] = interval(row)
    return PolicySummary(
        label=label,
        curve=table.curve(label),
        baseline=table.baseline(label) is not None,
        threshold=table.one(label).threshold,
        items=sum(record is not None for record in table.records(label)),
        figures=figures,
        kept={name: share for name in table.metrics if (share := kept(table, label, name)) is not None},
    )


def lag_tolerance(run: Run) -> float:
    """How far from its target a tier may land, in the unit of the run."""
    return WORDS_TOLERANCE if run.unit == "word" else MS_TOLERANCE


def _tier(table: Table, label: str, target: TierTarget, run: Run) -> TierResult:
    name = target.metric.upper()
    if name not in LATENCY:
        raise UnknownNameError("metric", target.metric, LATENCY)
    row = table.rows(label).get((target.convention, name))
    achieved = Interval(float("nan"), float("nan"), float("nan")) if row is None else interval(row)
    off = abs(achieved.value - target.target)
    tolerance = RCO_TOLERANCE if name == "RCO" else lag_tolerance(run)
    landed = None if isnan(off) else off <= tolerance + 1e-9  # 0.83 is 0.03 from 0.80, whatever its bits say
    return TierResult(policy=label, target=target, achieved=achieved, landed=landed)


def _notes(table: Table) -> list[str]:
    notes = []
    lacking = table.lacking()
    oracles = {label: lacking.pop(label) for label in list(lacking) if table.baseline(label) == "oracle"}
    for label, count in oracles.items():
        notes.append(f"{label} exists for {count} items, those whose evidence is known; its numbers are of these and in no comparison.")
    if lacking:
        least = min(lacking, key=lambda label: lacking[label])
        notes.append(
            f"Not every policy has every item ({least} has only {lacking[least]}): all numbers are of the {len(table.items)} that all have."
        )
    silent = {label: undefined for label in table.labels if (undefined := _without_target(table, label))}
    if silent:
        worst = max(silent, key=lambda label: silent[label])
        notes.append(
            f"Outputs without a token have no latency and are left out of it, not out of quality. {worst} has most of them: "
            f"{silent[worst]} of {len(table.items)} items."
        )
    if table.resamples.clusters < 2:
        notes.append("Of one passage or document no interval can be given.")
    if "full" not in table.curves():
        notes.append("The full view was not run, so no share of its quality is known, and baselines end at their last point.")
    return notes


def _without_target(table: Table, label: str) -> int:
    return sum(record is not None and not record.delays for record in table.records(label))
