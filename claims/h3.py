"""H3: one checkpoint, three tiers: each where it was calibrated to be, and more quality for more latency. Knows one file a task."""

from collections.abc import Mapping
from itertools import pairwise

from claims import prose
from claims.claim import Claim, Finding, Grid
from claims.figures import LATENCY_KEYS, Figures
from claims.parts import MENDED
from claims.results import Point, Result
from evaluation.bootstrap import Interval
from evaluation.summary import RCO_TOLERANCE, WORDS_TOLERANCE
from evaluation.table import interval
from evaluation.tables import number

WHERE = {"h3-translate": ("translation, Tatoeba", MENDED), "h1-squad": ("answering, SQuAD", "entropy")}
MARGIN = 1.0  # a point of quality


def judge(results: Mapping[str, Result]) -> Claim:
    """A finding a tier, a step, and the whole way."""
    findings: list[Finding] = []
    grids = []
    for part, (where, head) in WHERE.items():
        figures = Figures(results[part]) if part in results else None
        tiers = sorted(figures.points(head, "tier"), key=lambda tier: tier.target or 0.0) if figures else []
        if figures is None or len(tiers) < 2:
            findings.append(Finding(f"{where}: tiers on target, quality monotone", None))
            continue
        findings.append(Finding(f"{where}: three tiers", len(tiers) == 3, str(len(tiers))))
        findings += [_landed(figures, tier, where) for tier in tiers]
        findings += [_step(figures, *step, where, -MARGIN) for step in pairwise(tiers)]
        findings.append(_step(figures, tiers[0], tiers[-1], where, 0.0))
        grids.append(_grid(figures, tiers, where))
    return Claim("H3", "One checkpoint, three tiers", prose.H3, findings, grids)


def _achieved(figures: Figures, tier: Point) -> Interval:
    return figures.figure(tier.policy.label, LATENCY_KEYS[(tier.metric or "").upper()])


def _landed(figures: Figures, tier: Point, where: str) -> Finding:
    achieved, target = _achieved(figures, tier), tier.target or 0.0
    tolerance = RCO_TOLERANCE if tier.metric == "rco" else WORDS_TOLERANCE
    what = f"{where}: {tier.tier} on its target, {tier.metric} {target:g}"
    return Finding(what, abs(achieved.value - target) <= tolerance + 1e-9, number(achieved, 3))


def _step(figures: Figures, faster: Point, slower: Point, where: str, least: float) -> Finding:
    key = ("quality", figures.metrics[0])
    rise = interval(figures.rows(slower.policy.label)[key] - figures.rows(faster.policy.label)[key])
    verb = "rises" if least == 0 else "does not fall"
    return Finding(f"{where}: {key[1]} {verb} from {faster.tier} to {slower.tier}", rise.low > least, number(rise, 1, signed=True))


def _grid(figures: Figures, tiers: list[Point], where: str) -> Grid:
    key = ("quality", figures.metrics[0])
    header = ("tier", "target", "on test data", key[1])
    rows = [
        (
            str(tier.tier),
            f"{tier.metric} {tier.target:g}",
            number(_achieved(figures, tier), 3),
            number(figures.figure(tier.policy.label, key), 1),
        )
        for tier in tiers
    ]
    full = ("full view", "", "", number(figures.figure(figures.label("full"), key), 1))
    title = f"{where}: {len(figures.items):,} items, weights {(figures.header.model_hash or 'not hashed')[:12]}"
    return Grid(title, [header, *rows, full])
