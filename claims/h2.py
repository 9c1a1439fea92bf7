"""H2: in translation the entropy head, or the one that mends it, is better than wait-k at equal lag. Knows one part's file."""

from collections.abc import Mapping

from claims import prose
from claims.claim import Claim, Finding, Grid, judged
from claims.figures import LATENCY_KEYS, Figures
from claims.parts import MENDED, PARTS
from claims.results import Point, Result
from evaluation.bootstrap import Interval
from evaluation.compare import verdict
from evaluation.table import interval
from evaluation.tables import number

PART = "h2-translate"
POINTS = ("wait-3", "wait-5", "wait-7")
LAAL = LATENCY_KEYS["LAAL"]


def judge(results: Mapping[str, Result]) -> Claim:
    """One finding a point, of the paper's head."""
    figures = Figures(results[PART]) if PART in results else None
    grids = [_points(figures), _curve(figures)] if figures else []
    return Claim("H2", "Certain beats steady", prose.H2, _findings(figures, "entropy"), grids, least=2)


def mended(results: Mapping[str, Result]) -> Claim:
    """The same of the head that was made when the paper's had failed. Its rows stand in the tables of the other."""
    figures = Figures(results[PART]) if PART in results else None
    return Claim("H2, mended", "Certain, looking and late beats steady", prose.H2_MENDED, _findings(figures, MENDED), least=2)


def _findings(figures: Figures | None, head: str) -> list[Finding]:
    findings = []
    for purpose in POINTS:
        points = figures.points(head, purpose) if figures else []
        found = _against(figures, points[0]) if figures and points else None
        told = number(found, 1, signed=True) if found else ""
        what = f"{head}, as fast as {purpose}: better than wait-k at equal LAAL"
        findings.append(Finding(what, found.low > 0 if found else None, told))
    return findings


def _against(figures: Figures, point: Point) -> Interval:
    metric, rows = figures.metrics[0], figures.rows(point.policy.label)
    return interval(rows["quality", metric] - figures.curve("wait_k", metric, LAAL).at(rows[LAAL]))


def _points(figures: Figures) -> Grid:
    metric = figures.metrics[0]
    rows: list[tuple[str, ...]] = [("head", "chosen to be as fast as", "threshold", "LAAL", metric, "minus wait-k at equal LAAL")]
    for point in (point for head in PARTS[PART].heads for point in figures.points(head)):
        label, against = point.policy.label, _against(figures, point)
        cells = (number(figures.figure(label, LAAL), 2), number(figures.figure(label, ("quality", metric)), 1))
        rows.append((point.curve, point.purpose, f"{point.threshold:g}", *cells, judged(against, verdict(against))))
    return Grid(f"{len(figures.items):,} sources of at least 10 words ({figures.header.model})", rows)


def _curve(figures: Figures) -> Grid:
    metric = figures.metrics[0]
    rows = [
        (label, number(figures.figure(label, LAAL), 2), number(figures.figure(label, ("quality", metric)), 1))
        for label in (point.policy.label for name in ("wait_k", "full") for point in figures.points(name))
    ]
    return Grid("the baselines", [("policy", "LAAL", metric), *rows])
