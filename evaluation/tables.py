"""The tables of a report: comparisons with what their intervals carry, the signal, the tiers, and every number. Computes nothing."""

from collections import Counter
from collections.abc import Iterable
from math import isfinite, isnan

from evaluation import prose
from evaluation.bootstrap import Interval
from evaluation.compare import Area, Comparison, Verdict, verdict
from evaluation.page import Safe, join, table, tag
from evaluation.quality import QUALITY
from evaluation.summary import PolicySummary, Summary, TierResult, lag_tolerance

GROUPS = {
    "quality": "Quality",
    "words": "Latency in {units} of the source, at each target token (as the paper)",
    "words_by_word": "Latency in {units} of the source, at each word of the target (as SimulEval)",
    "tokens": "Latency in tokens of the source, at each target token",
    "ms": "Latency in ms by the clock, with the time that computing takes",
    "pace": "Waiting in ms by the clock: until the first write, and each token's lag behind the newest word that it saw",
    "word_ends": "Lag in ms of audio from the end of each spoken word to its write, of the words that were recognised",
    "outputs": "Outputs",
}
KINDS = {"better": "better", "worse": "worse", "not shown": "soft", "outside": "soft"}  # of a verdict, how it looks
NAMES = {
    "RCO_of_means": "RCO (ratio of means)",
    "length_ratio": "length ratio",
    "empty": "empty, %",
    "capped": "capped, %",
    "early": "ended early, %",
    "errors": "errors, %",
    "first_write_p50": "first write, p50",
    "first_write_p95": "first write, p95",
    "lag_mean": "lag, mean",
    "lag_p50": "lag, p50",
    "lag_p95": "lag, p95",
}


def number(figure: Interval, digits: int, *, signed: bool = False) -> str:
    """`62.1 [60.3, 64.0]`; a dash where there is no number."""
    one = f"{'+' if signed else ''}.{digits}f"
    if isnan(figure.value):
        return "–"
    bounds = f" [{figure.low:{one}}, {figure.high:{one}}]" if isfinite(figure.low) else " [no interval]"
    return f"{figure.value:{one}}{bounds}"


def findings(summary: Summary) -> list[Safe]:
    """For each head and baseline at how many of its points the main metric is better, worse or neither; and the notes."""
    curve = {policy.label: policy.curve for policy in summary.policies}
    counts: dict[str, dict[str, Counter[str]]] = {}
    for one in summary.comparisons:
        if one.metric == summary.metrics[0] and not one.matched:
            found = counts.setdefault(curve[one.policy], {}).setdefault(one.against, Counter())
            found["outside" if isnan(one.difference.value) else one.verdict] += 1
    made = [tag("h2", "What was found")]
    if counts:
        about = prose.FOUND.format(metric=summary.metrics[0])
        rows = [(head, *map(_counted, found.values())) for head, found in counts.items()]
        header = ("head", *(f"against {name}" for name in next(iter(counts.values()))))
        made += [tag("p", about), table(header, rows, f"{summary.metrics[0]} at equal coverage")]
    return [*made, *(tag("p", note) for note in summary.notes)]


def comparisons(summary: Summary) -> list[Safe]:
    """Quality at equal coverage, against the matched random gate, and area."""
    made: list[Safe] = []
    for metric in summary.metrics:
        of_metric = [one for one in summary.comparisons if one.metric == metric]
        parts = (
            _at_equal_coverage(metric, [one for one in of_metric if not one.matched]),
            _matched(metric, [one for one in of_metric if one.matched]),
            _areas(metric, [one for one in summary.areas if one.metric == metric]),
        )
        made += [part for part in parts if part is not None]
    return [tag("h2", "Heads against baselines at equal coverage"), tag("p", prose.COMPARISONS), *made] if made else []


def signal(summary: Summary) -> list[Safe]:
    """H0."""
    if summary.signal is None:
        return []
    found = summary.signal
    about = prose.SIGNAL.format(probes=found.n_probes, items=found.n_items)
    rows = [(row.name, _cell(row.auc, 3), _judged(row.against_phi, verdict(row.against_phi), 3)) for row in found.rows]
    return [
        tag("h2", "Does the signal know?"),
        tag("p", about),
        table(("score", "area", "minus phi alone"), rows, "Area under the ROC curve"),
    ]


def tiers(summary: Summary) -> list[Safe]:
    """Targets, set on development data, and where the tiers landed on these."""
    if not summary.tiers:
        return []
    header = ("tier", "target", "on development data", "here", "off by", "on target")
    units = prose.UNITS[summary.run.unit]
    about = prose.TIERS.format(units=units, tolerance=lag_tolerance(summary.run))
    rows = [_tier(tier, units) for tier in summary.tiers]
    return [tag("h2", "Tiers"), tag("p", about), table(header, rows, "Tiers against their targets")]


def numbers(summary: Summary) -> list[Safe]:
    """Every number of every policy, a table a group."""
    made = [tag("h2", "All numbers"), tag("p", prose.NUMBERS)]
    for group, title in GROUPS.items():
        having = [policy for policy in summary.policies if group in policy.figures]
        if not having:
            continue
        names = list(dict.fromkeys(name for policy in having for name in policy.figures[group]))
        kept = [name for name in names if group == "quality" and any(name in policy.kept for policy in having)]
        header = ["policy", "items", *(_heading(group, name) for name in names), *(f"{name}, % of the full view" for name in kept)]
        made.append(
            table(header, [_row(policy, group, names, kept) for policy in having], title.format(units=prose.UNITS[summary.run.unit]))
        )
    return made


def _row(policy: PolicySummary, group: str, names: Iterable[str], kept: Iterable[str]) -> list[object]:
    nothing = Interval(float("nan"), float("nan"), float("nan"))
    of_group = [_cell(policy.figures[group].get(name, nothing), _digits(group, name)) for name in names]
    return [policy.label, policy.items, *of_group, *(_cell(policy.kept.get(name, nothing), 1) for name in kept)]


def _heading(group: str, name: str) -> str:
    return f"{name} ({QUALITY[name].scale})" if group == "quality" else NAMES.get(name, name)


def _digits(group: str, name: str) -> int:
    if name.startswith("RCO"):
        return 3
    return {"quality": 1, "ms": 0, "pace": 0}.get(group, 2 if name in {"length_ratio"} or group != "outputs" else 1)


def _counted(found: Counter[str]) -> Safe:
    parts = [tag("span", f"{found[name]} {name}", class_=KINDS[name]) for name in KINDS if found[name]]
    return join(tag("div", part) for part in parts)


def _at_equal_coverage(metric: str, found: list[Comparison]) -> Safe | None:
    against = dict.fromkeys(one.against for one in found)
    rows: dict[str, list[object]] = {}
    for one in found:  # by policy, then in the order of `against`
        row = rows.setdefault(one.policy, [one.policy, _cell(one.latency, 3)])
        outside = tag("span", "outside the curve", class_="soft")
        row.append(outside if isnan(one.difference.value) else _judged(one.difference, one.verdict))
    better = "more is better" if QUALITY[metric].higher_is_better else "less is better"
    header = ("policy", "RCO", *(f"against {name}" for name in against))
    return table(header, rows.values(), f"{metric} at equal coverage, difference ({better})") if found else None


def _matched(metric: str, found: list[Comparison]) -> Safe | None:
    rows = [(one.policy, one.against, _cell(one.gap, 3, signed=True), _judged(one.difference, one.verdict)) for one in found]
    header = ("policy", "matched with", "difference in coverage", f"difference in {metric}")
    return table(header, rows, f"{metric}, against a gate that reads as much by chance") if found else None


def _areas(metric: str, found: list[Area]) -> Safe | None:
    spans = ["none" if one.low is None else f"{one.low:.2f} to {one.high:.2f}" for one in found]
    rows = [
        (one.curve, one.against, span, _cell(one.quality, 1), _judged(one.difference, one.verdict))
        for one, span in zip(found, spans, strict=True)
    ]
    header = ("curve", "against", "shared coverage", f"mean {metric}", "difference")
    return table(header, rows, f"{metric}, mean over the coverage that both curves span") if found else None


def _tier(tier: TierResult, units: str) -> tuple[object, ...]:
    target, digits = tier.target, 3 if tier.target.metric.upper() == "RCO" else 2
    convention = target.convention.replace("words", units, 1)
    development = "not known" if target.achieved_on_development is None else f"{target.achieved_on_development:.{digits}f}"
    landed = {True: tag("span", "yes", class_="better"), False: tag("span", "no", class_="worse"), None: "not known"}[tier.landed]
    off = "–" if isnan(tier.achieved.value) else f"{tier.achieved.value - target.target:+.{digits}f}"
    return (
        tier.policy,
        f"{target.metric.upper()} {target.target:g} ({convention})",
        development,
        _cell(tier.achieved, digits),
        off,
        landed,
    )


def _cell(figure: Interval, digits: int, *, signed: bool = False) -> Safe:
    value, bracket, bounds = number(figure, digits, signed=signed).partition(" [")
    return join([value, tag("small", "[" + bounds)] if bracket else [value])


def _judged(figure: Interval, found: Verdict, digits: int = 1) -> Safe:
    return join([tag("span", found, class_=KINDS[found]), " ", _cell(figure, digits, signed=True)])
