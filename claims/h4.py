"""H4: what each loss and the read budget bring, at equal steps. Knows one file a variant and seed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from claims import prose
from claims.claim import Claim, Finding, Grid, judged
from claims.figures import LATENCY_KEYS, Figures
from claims.results import Result
from claims.variants import RECIPES, VARIANTS
from evaluation.bootstrap import Interval
from evaluation.compare import Curve, shared_latencies, verdict
from evaluation.table import Rows, interval
from evaluation.tables import number

ASKED = (("mslm", "plain"), ("spsd", "plain"), ("both", "plain"), ("both", "mslm"), ("both", "spsd"))  # the claim
BESIDE = (("both", "paper"), ("both", "lambda-0.01"), ("both", "lambda-1"))
TITLES = {
    "plain": "plain",
    "mslm": "+ MSLM (lambda 0)",
    "spsd": "+ SPSD",
    "both": "+ MSLM + SPSD (lambda 0.1, Dirichlet)",
    "paper": "both, `paper` budgets",
    "lambda-0.01": "both, lambda 0.01",
    "lambda-1": "both, lambda 1",
}
WHERE = {"translate": "translation", "answer": "answering"}
SEEDS = 2


@dataclass(frozen=True)
class Areas:
    """of: variant -> [seeds, 1 + R], the mean quality between two latencies, on all items `low` and `high`.

    drawn: [1 + R, seeds] how often a resample has each seed
    """

    of: Mapping[str, Rows]
    low: float
    high: float
    drawn: Rows
    items: int

    def mean(self, variant: str) -> Rows:
        """[1 + R], over the seeds of each resample."""
        found: Rows = (self.of[variant].T * self.drawn).sum(axis=1) / self.drawn.sum(axis=1)
        return found


def judge(results: Mapping[str, Result]) -> Claim:
    """A finding a comparison and task."""
    findings, grids = [], []
    for task in RECIPES:
        found = areas(results, task)
        for ours, theirs in ASKED:
            difference = _difference(found, ours, theirs)
            told = number(difference, 2, signed=True) if difference else ""
            what = f"{WHERE[task]}: {ours} better than {theirs}"
            findings.append(Finding(what, difference.low > 0 if difference else None, told))
        if found:
            grids += _grids(found, task)
    return Claim("H4", "What each loss brings", prose.H4, findings, grids)


def areas(results: Mapping[str, Result], task: str) -> Areas | None:
    """Of the variants that have all seeds that any of them has; None without a variant of two seeds."""
    runs: dict[str, dict[str, Result]] = {variant: {} for variant in VARIANTS}
    for name, result in results.items():
        part, _, rest = name.partition(".")
        variant, _, seed = rest.rpartition(".")
        if part == f"h4-{task}" and variant in runs:
            runs[variant][seed] = result
    seeds = max((set(by_seed) for by_seed in runs.values()), key=len)
    whole = {variant: by_seed for variant, by_seed in runs.items() if set(by_seed) == seeds}
    if len(seeds) < SEEDS:
        return None
    every = [result for by_seed in whole.values() for result in by_seed.values()]
    figures = {variant: [Figures(by_seed[seed], *every) for seed in sorted(seeds)] for variant, by_seed in whole.items()}
    return _areas(figures)


def _areas(figures: Mapping[str, Sequence[Figures]]) -> Areas:
    curves = {variant: [_curve(one) for one in some] for variant, some in figures.items()}
    low, high = shared_latencies([curve for some in curves.values() for curve in some])
    one = next(iter(figures.values()))
    count, seeds = len(low) - 1, len(one)
    drawn = np.random.default_rng(0).multinomial(seeds, [1 / seeds] * seeds, size=count)
    return Areas(
        {variant: np.stack([curve.mean(low, high) for curve in some]) for variant, some in curves.items()},
        float(low[0]),
        float(high[0]),
        np.concatenate([np.ones((1, seeds)), drawn]),
        len(one[0].items),
    )


def _curve(figures: Figures) -> Curve:
    (axis,) = (LATENCY_KEYS[column] for column in figures.header.columns if column in LATENCY_KEYS)
    return figures.curve("entropy", figures.metrics[0], axis)


def _difference(found: Areas | None, ours: str, theirs: str) -> Interval | None:
    if found is None or not {ours, theirs} <= set(found.of):
        return None
    return interval(found.mean(ours) - found.mean(theirs))


def _grids(found: Areas, task: str) -> list[Grid]:
    seeds = next(iter(found.of.values())).shape[0]
    latency, metric = ("LAAL", "chrF") if task == "translate" else ("RCO", "F1")
    title = f"{WHERE[task]}: mean {metric} over {latency} {found.low:.2f} to {found.high:.2f}, {found.items:,} items, {seeds} seeds"
    rows = [
        (TITLES[variant], number(interval(found.mean(variant)), 2), ", ".join(f"{area:.2f}" for area in found.of[variant][:, 0]))
        for variant in found.of
    ]
    compared = [
        (TITLES[ours], TITLES[theirs], judged(difference, verdict(difference), 2))
        for ours, theirs in (*ASKED, *BESIDE)
        if (difference := _difference(found, ours, theirs))
    ]
    return [
        Grid(title, [("training", "area", "each seed"), *rows]),
        Grid(f"{WHERE[task]}: differences", [("", "against", "area"), *compared]),
    ]
