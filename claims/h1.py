"""H1: on questions whose evidence may be anywhere, heads keep the full view's quality at a coverage near the least that is possible.

Knows the files of two parts and of the plain checkpoint's full view.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from claims import prose
from claims.claim import Claim, Finding, Grid, judged
from claims.figures import Figures
from claims.parts import PARTS
from claims.results import Result
from evaluation.bootstrap import Interval
from evaluation.compare import Curve, verdict
from evaluation.table import COVERAGE, Rows, interval
from evaluation.tables import number

HEADS = ("entropy", "attention")
KEPT = 97.0


@dataclass(frozen=True)
class Corpus:
    """above_oracle: whether `allowed` RCO is what may be read more than the oracle reads."""

    part: str
    where: str
    allowed: float
    above_oracle: bool


CORPORA = (Corpus("h1-needle", "needle QA", 0.07, True), Corpus("h1-squad", "SQuAD", 0.85, False))


def judge(results: Mapping[str, Result]) -> Claim:
    """Three findings a head and corpus, and that all items were run."""
    findings: list[Finding] = []
    grids: list[Grid] = []
    for corpus in CORPORA:
        shipped, plain = (results.get(name) for name in (corpus.part, f"{corpus.part}.plain"))
        asked = PARTS[corpus.part].items or 0
        enough = None if shipped is None else len(shipped.lines) >= asked
        findings.append(Finding(f"{corpus.where}: at least {asked:,} items", enough, f"{len(shipped.lines):,}" if shipped else ""))
        ours = Figures(shipped, *([plain] if plain else [])) if shipped else None
        theirs = Figures(plain, shipped) if shipped and plain else None
        for head in HEADS:
            findings += _findings(corpus, head, ours, theirs)
        if ours:
            grids += [_points(corpus, ours, theirs), _curves(corpus, ours)]
    return Claim("H1", "Enough is read, and little more", prose.H1, findings, grids)


def _findings(corpus: Corpus, head: str, ours: Figures | None, plain: Figures | None) -> list[Finding]:
    allowed = f"at most {corpus.allowed:g} above the oracle's" if corpus.above_oracle else f"at most {corpus.allowed:g}"
    asked = (f"keeps {KEPT:g}% of the plain full view", f"RCO {allowed}", "better than fixed fraction at equal RCO")
    if ours is None:
        return [Finding(f"{corpus.where}: {head} {what}", None) for what in asked]
    kept = _kept(ours, head, plain) if plain else None
    read = interval(_beyond(corpus, ours, head))
    better = _against(ours, head, "fixed_fraction")
    return [
        Finding(f"{corpus.where}: {head} {asked[0]}", kept.low >= KEPT if kept else None, number(kept, 1) if kept else ""),
        Finding(f"{corpus.where}: {head} {asked[1]}", read.high <= corpus.allowed, number(read, 3)),
        Finding(f"{corpus.where}: {head} {asked[2]}", better.low > 0, number(better, 1, signed=True)),
    ]


def _beyond(corpus: Corpus, ours: Figures, head: str) -> Rows:
    """RCO, or RCO above the oracle's."""
    read = ours.rows(ours.label(head, "point"))[COVERAGE]
    return read - ours.rows(ours.label("oracle"))[COVERAGE] if corpus.above_oracle else read


def _kept(ours: Figures, head: str, full: Figures) -> Interval:
    """Percent of the full view's quality, `full`'s."""
    key = ("quality", ours.metrics[0])
    whole = full.rows(full.label("full"))[key]
    mine = ours.rows(ours.label(head, "point"))[key]
    return interval(100 * np.divide(mine, whole, out=np.full_like(mine, np.nan), where=whole != 0))


def _against(ours: Figures, head: str, baseline: str) -> Interval:
    """Quality minus the baseline's at equal RCO."""
    metric, rows = ours.metrics[0], ours.rows(ours.label(head, "point"))
    curve: Curve = ours.curve(baseline, metric, COVERAGE)
    return interval(rows["quality", metric] - curve.at(rows[COVERAGE]))


def _points(corpus: Corpus, ours: Figures, plain: Figures | None) -> Grid:
    metric = ours.metrics[0]
    title = f"{corpus.where}: {len(ours.items):,} items, {ours.resamples.clusters:,} passages ({ours.header.model})"
    header = ("head", "threshold", "RCO", metric, "% of plain full view", "% of own full view", "− fixed fraction", "− wait-k")
    rows: list[tuple[str, ...]] = [header]
    for head in HEADS:
        label = ours.label(head, "point")
        against = [judged(found, verdict(found)) for found in (_against(ours, head, name) for name in ("fixed_fraction", "wait_k"))]
        shares = [number(_kept(ours, head, full), 1) if full else "not run" for full in (plain, ours)]
        at = f"{ours.points(head, 'point')[0].threshold:g}"
        rows.append(
            (head, at, number(ours.figure(label, COVERAGE), 3), number(ours.figure(label, ("quality", metric)), 1), *shares, *against)
        )
    for name, figures in (("full view", ours), ("full view, plain", plain), ("oracle", ours)):
        if figures:
            label = figures.label("full" if "full" in name else name)
            cells = (number(figures.figure(label, COVERAGE), 3), number(figures.figure(label, ("quality", metric)), 1))
            rows.append((name, "", *cells, "", "", "", ""))
    return Grid(title, rows)


def _curves(corpus: Corpus, ours: Figures) -> Grid:
    rows: list[tuple[str, ...]] = [("policy", "RCO", *ours.metrics)]
    for name in (*HEADS, "fixed_fraction", "wait_k"):
        for label in dict.fromkeys(point.policy.label for point in ours.points(name)):
            qualities = (number(ours.figure(label, ("quality", metric)), 1) for metric in ours.metrics)
            rows.append((label, number(ours.figure(label, COVERAGE), 3), *qualities))
    return Grid(f"{corpus.where}: every policy", rows)
