"""The page that a reader sees: one self-contained HTML file made of a Summary and three items. Computes no metric.

`python -m evaluation.report FOLDER` makes it again from the items, with the signal, tiers and matches of the summary that is there.
"""

import sys
from collections.abc import Iterable, Sequence
from itertools import accumulate
from math import isnan
from pathlib import Path

from pydantic import ValidationError

from backbones.source_codec import count_units
from errors import InvalidValueError, ProactiveError
from evaluation import prose, tables
from evaluation.bootstrap import Interval
from evaluation.page import Safe, document, join, tag
from evaluation.plot import Line, Point, svg, swatch
from evaluation.policies import ALL_BASELINES
from evaluation.quality import QUALITY
from evaluation.record import Record
from evaluation.store import read_records, read_run
from evaluation.summary import SUMMARY, PolicySummary, Summary, summarise
from tasks import kind_of, metrics_of
from tasks.words import pieces

PAGE = "report.html"
WORDS_SHOWN = 250
HEADS_COLOURED = 4
AXES = {"RCO": "coverage (RCO), share of the source", "AIL": "lag (AIL), {units} of the source"}
UP = {True: "Left and up", False: "Left and down"}


def html(summary: Summary, examples: Sequence[Record] = ()) -> str:
    """The whole page. All text of models and data is escaped; the same arguments give the same page."""
    run, units = summary.run, prose.UNITS[summary.run.unit]
    about = prose.ABOUT.format(resamples=summary.resamples, unit=_unit(summary), units=units)
    return document(
        f"{run.task}: quality against latency",
        tag("h1", f"{run.task}: quality against latency"),
        tag("p", f"{run.model} on {run.data}, {summary.items} items, {summary.date}", class_="soft"),
        tag("h2", "What is measured"),
        *(tag("p", text) for text in about.strip().split("\n\n")),
        *_plots(summary),
        *tables.findings(summary),
        *_examples(examples, units),
        *tables.signal(summary),
        *tables.tiers(summary),
        *tables.comparisons(summary),
        *tables.numbers(summary),
        *_run(summary),
    )


def choose(summary: Summary, records: Iterable[Record]) -> list[Record]:
    """Three items: those with the least, the middle and the greatest coverage under one policy, a tier where there is one, or a head.

    Of several the policy with the middle coverage.
    """
    heads = [policy for policy in summary.policies if not policy.baseline]
    candidates = [policy for policy in heads if _tier(policy)] or heads or summary.policies
    known = [policy for policy in candidates if not isnan(_latency(policy, "RCO").value)]
    if not known:
        return []
    label = sorted(known, key=lambda policy: (_latency(policy, "RCO").value, policy.label))[len(known) // 2].label
    good = [record for record in records if record.policy == label and record.delays and record.source_length and not record.error]
    good.sort(key=lambda record: (sum(record.delays) / len(record.delays) / record.source_length, record.id))
    return [good[place] for place in sorted({0, len(good) // 2, len(good) - 1})] if good else []


def write(folder: Path, summary: Summary, records: Sequence[Record]) -> None:
    """summary.json and report.html in the folder."""
    (folder / SUMMARY).write_text(summary.model_dump_json(indent=1) + "\n", encoding="utf-8")
    (folder / PAGE).write_text(html(summary, choose(summary, records)), encoding="utf-8")


def again(folder: Path) -> Path:
    """Both files from run.json and items.jsonl; what cannot be read off items is kept from summary.json, where there is one.

    Raises InvalidValueError where the folder holds no evaluation, or a summary of another version.
    """
    run, records, path = read_run(folder), read_records(folder), folder / SUMMARY
    if run is None or not records:
        raise InvalidValueError(f"expected {folder} to hold run.json and items.jsonl of an evaluation")
    if path.exists():
        old = _read(path)
        tiers = {tier.policy: tier.target for tier in old.tiers}
        made = summarise(
            run, records, old.metrics, signal=old.signal, tiers=tiers, matched=old.matched, date=old.date, resamples=old.resamples
        )
    else:
        made = summarise(run, records, metrics_of(run.task, kind_of(run.data)))
    write(folder, made, records)
    return folder / PAGE


def _read(path: Path) -> Summary:
    try:
        return Summary.model_validate_json(path.read_bytes())
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]["msg"]
        raise InvalidValueError(f"expected {path} to be a summary of this version, which may be made anew without it: {fault}") from None


def _unit(summary: Summary) -> str:
    return "items" if summary.clusters == summary.items else "passages (groups of items that belong together)"


def _latency(policy: PolicySummary, name: str) -> Interval:
    return policy.figures.get("words", {}).get(name, Interval(float("nan"), float("nan"), float("nan")))


def _tier(policy: PolicySummary) -> bool:
    return policy.label.startswith(f"{policy.curve}:")


def _plots(summary: Summary) -> list[Safe]:
    main, full = summary.metrics[0], [policy for policy in summary.policies if policy.curve == "full"]
    whole = full[0].figures["quality"][main].value if full else float("nan")
    figures: list[Safe] = []
    for name, title in AXES.items():
        lines = _lines(summary, name, main)
        if any(not isnan(point.x) and not isnan(point.y.value) for line in lines for point in line.points):
            legend = [] if figures else [tag("ul", *(tag("li", swatch(line), line.name) for line in lines), class_="legend")]
            plot = svg(lines, x_name=title.format(units=prose.UNITS[summary.run.unit]), y_name=main, whole=None if isnan(whole) else whole)
            figures.append(tag("figure", *legend, plot))
    how = prose.PLOTS.format(where=UP[QUALITY[main].higher_is_better])
    used = {policy.curve.partition("(")[0] for policy in summary.policies}
    about = tag("dl", *(join([tag("dt", name), tag("dd", text)]) for name, text in prose.POLICIES.items() if name in used))
    return [tag("h2", "Quality against latency"), *figures, tag("p", how, class_="soft"), about]


def _lines(summary: Summary, latency: str, metric: str) -> list[Line]:
    curves: dict[str, list[PolicySummary]] = {}
    for policy in summary.policies:
        if policy.items == summary.items:  # the oracle of fewer items belongs to no plot of all
            curves.setdefault(policy.curve, []).append(policy)
    lines = []
    for number, (name, policies) in enumerate(curves.items()):  # heads come first
        colour = f"b{ALL_BASELINES.index(name)}" if policies[0].baseline else f"h{number % HEADS_COLOURED}"
        lines.append(Line(name, colour, tuple(_point(policy, latency, metric) for policy in policies)))
    return lines


def _point(policy: PolicySummary, latency: str, metric: str) -> Point:
    x, y = _latency(policy, latency), policy.figures["quality"][metric]
    title = f"{policy.label}: {metric} {tables.number(y, 1)}, {latency} {tables.number(x, 2)}"
    return Point(x.value, y, title, ring=_tier(policy))


def _examples(records: Sequence[Record], units: str) -> list[Safe]:
    if not records:
        return []
    about = prose.EXAMPLES.format(policy=records[0].policy, units=units)
    return [tag("h2", "Three items"), tag("p", about), *(_example(record) for record in records)]


def _example(record: Record) -> Safe:
    source = pieces(record.source)
    numbers = accumulate(map(count_units, source))
    rest = [tag("p", f"… and {len(source) - WORDS_SHOWN} words more", class_="soft")] if len(source) > WORDS_SHOWN else []
    return tag(
        "div",
        *(tag("small", f"{name}: {text}") for name, text in record.inputs.items()),
        tag("small", f"item {record.id}: source"),
        _words(source[:WORDS_SHOWN], numbers, record.read),
        *rest,
        tag("small", "target, with phi"),
        _words(record.target.split(), record.word_delays, record.read),
        tag("small", f"reference: {record.references[0]}"),
        class_="item",
    )


def _words(words: Sequence[str], numbers: Iterable[int], read: int) -> Safe:
    pairs = zip(words, numbers, strict=False)
    return tag("div", *(tag("span", word, tag("small", n), class_="unread" if n > read else "read") for word, n in pairs), class_="words")


def _run(summary: Summary) -> list[Safe]:
    run = summary.run
    facts = {
        "model": run.model,
        "model's sha256": run.model_hash or "not at hand",
        "task": run.task,
        "data": run.data,
        "data's sha256": run.data_hash,
        "items": f"{summary.items} in {summary.clusters} independent groups",
        "longest target": "the task's own limit" if run.max_output_tokens is None else f"{run.max_output_tokens} tokens",
        "pace": f"{run.pace:g} words a second" if run.pace else "none: as fast as it goes, so no times are given",
        "date": summary.date,
        "resamples": f"{summary.resamples:,}, seed {summary.seed}",
        "proactivellm": summary.version,
    }
    return [tag("h2", "The run"), tag("dl", *(join([tag("dt", name), tag("dd", fact)]) for name, fact in facts.items()))]


if __name__ == "__main__":
    try:
        print(again(Path(sys.argv[1])))
    except IndexError:
        sys.exit("usage: python -m evaluation.report FOLDER")
    except ProactiveError as error:
        sys.exit(error.message)
