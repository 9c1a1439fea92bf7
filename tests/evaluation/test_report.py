"""The page: whole, escaped, the same each time, and it says what the summary says."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from errors import InvalidValueError
from evaluation import plot, report, tables
from evaluation.bootstrap import Interval
from evaluation.page import Safe, tag
from evaluation.record import Record
from evaluation.store import Store
from evaluation.summary import SUMMARY, Signal, SignalSummary, Summary, TierTarget, summarise
from tests.evaluation import made

VOID = {"meta"}
EVIL = "<script>alert('x')</script> & \"<b>"


class Tree(HTMLParser):
    """Fails on a tag that is not closed; keeps the text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(page: str) -> Tree:
    tree = Tree()
    tree.feed(page)
    assert tree.open == []
    return tree


def summary(records: list[Record], run: object = made.RUN) -> Summary:
    signal = SignalSummary(
        n_items=2,
        n_probes=1234,
        rows=(
            Signal(name="entropy", auc=Interval(0.9, 0.85, 0.95), against_phi=Interval(0.2, 0.1, 0.3)),
            Signal(name="mass", auc=Interval(0.7, 0.6, 0.8), against_phi=Interval(0.01, -0.1, 0.1)),
        ),
    )
    tiers = {"entropy:low": TierTarget(metric="rco", target=0.5, achieved_on_development=0.51)}
    return summarise(
        run,  # type: ignore[arg-type]
        records,
        ["exact_match", "wer"],
        signal=signal,
        tiers=tiers,
        matched={"entropy@0.60": "random@0.5"},
        date="2026-01-02",
        resamples=100,
    )


def records() -> list[Record]:
    more = [
        record
        for item in range(12)
        for record in (made.record("entropy:low", item, [5, 5]), made.record("random@0.5", item, [6, 6], right=(5 * item) % 12 < 6))
    ]
    return [*made.sweep(), *more]


def page() -> str:
    found = summary(records())
    return report.html(found, report.choose(found, records()))


def test_it_loads_nothing_and_needs_no_script() -> None:
    found = page()
    assert not re.search(r"https?://|//[a-z]|\bsrc=|\bhref=|@import|url\(|<script|<link", found)
    assert "default-src 'none'" in found
    assert {"svg", "table", "style"} <= set(parsed(found).tags)


def test_the_same_input_gives_the_same_page() -> None:
    found = summary(records())
    assert page() == page() == report.html(Summary.model_validate_json(found.model_dump_json()), report.choose(found, records()[::-1]))


def test_all_text_of_models_and_data_is_escaped() -> None:
    """Wherever it may come from: the run, ids, sources, targets, references, policies."""
    evil = [
        record.model_copy(
            update={"id": record.id + EVIL, "source": EVIL, "target": EVIL, "references": (EVIL,), "word_delays": (1, 2, 3, 4)}
        )
        for record in records()
    ]
    evil += [
        record.model_copy(update={"policy": f"entropy(x={EVIL})@0.3", "threshold": 0.3})
        for record in evil
        if record.policy == "entropy@0.60"
    ]
    run = made.RUN.model_copy(update=dict.fromkeys(("model", "task", "data", "data_hash"), EVIL))
    found = summary(evil, run)
    whole = report.html(found, report.choose(found, evil))
    tree = parsed(whole)
    assert "script" not in tree.tags
    assert "b" not in tree.tags
    assert "<script" not in whole
    assert whole.count("&lt;script&gt;alert(") > 10


def test_what_is_not_safe_is_escaped_in_text_and_in_attributes() -> None:
    assert tag("p", "<i>", Safe("<i></i>"), title='"&') == '<p title="&quot;&amp;">&lt;i&gt;<i></i></p>'
    assert tag("a", 3, class_="x", stroke_width=2) == '<a class="x" stroke-width="2">3</a>'


def test_every_number_is_in_a_table_beside_its_interval() -> None:
    found, text = summary(records()), "".join(parsed(page()).text)
    for policy in found.policies:
        assert policy.label in text
        for name in ("exact_match", "wer"):
            figure = policy.figures["quality"][name]
            assert f"{figure.value:.1f}[{figure.low:.1f}, {figure.high:.1f}]" in text
        figure = policy.figures["words"]["RCO"]
        assert f"{figure.value:.3f}[{figure.low:.3f}, {figure.high:.3f}]" in text
    for fact in (
        made.RUN.model,
        made.RUN.data,
        made.RUN.data_hash,
        "2026-01-02",
        "12 in 12 independent groups",
        "100, seed 0",
        found.version,
    ):
        assert fact in text


def test_verdicts_signal_and_tiers_are_in_words() -> None:
    text = "".join(parsed(page()).text)
    assert "At 1,234 moments in 2 items" in text
    assert "better +0.200[+0.100, +0.300]" in text
    assert "not shown +0.010[-0.100, +0.100]" in text
    assert re.search(r"entropy:lowRCO 0\.5 \(words\)0\.5100\.500\[0\.500, 0\.500\]\+0\.000yes", text)
    assert re.search(r"entropy@0\.60random@0\.5-0\.050\[.*?\]better \+25\.0", text)


def test_a_point_outside_the_curve_is_not_compared() -> None:
    low = [made.record("entropy@0.1", item, [1, 1]) for item in range(12)]
    text = "".join(parsed(report.html(summary([*records(), *low]))).text)
    assert text.count("outside the curve") == 2 * (3 + 3)  # two metrics; it for three baselines, and three others below the random gate
    assert "1 outside" in text


def test_examples_are_of_least_middle_and_greatest_coverage_under_a_tier() -> None:
    tier = [made.record("entropy:low", item, [2 + item % 5, 9], length=12) for item in range(12)]
    some = [*made.sweep(), *tier]
    chosen = report.choose(summarise(made.RUN, some, ["f1"], resamples=10), some)
    assert [(record.policy, record.delays[0]) for record in chosen] == [("entropy:low", phi) for phi in (2, 4, 6)]
    assert report.choose(summarise(made.RUN, [made.record("full@0", 0, [], target="")], ["f1"], resamples=10), []) == []


def test_an_example_shows_phi_under_each_word_and_what_was_not_read() -> None:
    record = made.record("entropy@0.5", 0, [1, 3], length=3).model_copy(update={"source": "one 世界 two", "source_length": 4, "read": 3})
    whole = report.html(summary(records()), [record])
    for word, number, kind in (("one ", 1, "read"), ("世界 ", 3, "read"), ("two", 4, "unread"), ("a", 1, "read"), ("b", 3, "read")):
        assert f'<span class="{kind}">{word}<small>{number}</small></span>' in whole


def test_a_long_source_is_cut_off() -> None:
    record = made.record("entropy@0.5", 0, [1], length=report.WORDS_SHOWN + 7)
    whole = report.html(summary(records()), [record])
    assert "… and 7 words more" in whole
    assert f"<small>{report.WORDS_SHOWN}</small>" in whole
    assert f"<small>{report.WORDS_SHOWN + 1}</small>" not in whole


def test_a_number_without_an_interval_says_so() -> None:
    nan = float("nan")
    assert tables.number(Interval(1.25, 1.0, 1.5), 1) == "1.2 [1.0, 1.5]"
    assert tables.number(Interval(-1.25, -1.5, 1.0), 2, signed=True) == "-1.25 [-1.50, +1.00]"
    assert tables.number(Interval(1.25, nan, nan), 2) == "1.25 [no interval]"
    assert tables.number(Interval(nan, nan, nan), 2) == "–"


def test_points_lie_where_the_axes_say() -> None:
    scale = plot.Scale(0.0, 10.0, 50.0, 150.0)
    assert (scale(0), scale(2.5), scale(10)) == (50, 75, 150)
    assert scale.ticks() == [0, 2, 4, 6, 8, 10]
    assert plot.Scale(0.41, 0.98, 0, 1).ticks() == [0.5, 0.6, 0.7, 0.8, 0.9]
    line = plot.Line("x", "h0", (plot.Point(1.0, Interval(2.0, 1.0, 3.0), "one & two"), plot.Point(2.0, Interval(4.0, 3.0, 5.0), "b")))
    drawn = plot.svg([line], x_name="lag", y_name="f1", whole=4.0)
    x, y = plot._scale([1, 2], plot.LEFT, plot.WIDTH - plot.RIGHT), plot._scale([1, 5], plot.HEIGHT - plot.BOTTOM, plot.TOP)
    assert f'points="{x(1)},{y(2)} {x(2)},{y(4)}"' in drawn
    assert f'points="{x(1)},{y(3)} {x(2)},{y(5)} {x(2)},{y(3)} {x(1)},{y(1)}"' in drawn
    assert "<title>one &amp; two</title>" in drawn


def test_a_point_without_a_number_is_not_drawn_and_one_point_alone_has_a_bar() -> None:
    nan = float("nan")
    points = (plot.Point(nan, Interval(2.0, 1.0, 3.0), "a"), plot.Point(0.5, Interval(2.0, 1.0, 3.0), "b"))
    drawn = plot.svg([plot.Line("full", "b0", points)], x_name="x", y_name="y")
    assert "nan" not in drawn
    assert "<polygon" not in drawn
    assert drawn.count("<title>") == 1


def test_a_folder_is_rendered_again_with_what_its_summary_keeps(tmp_path: Path) -> None:
    with Store(tmp_path, made.RUN) as store:
        for record in records():
            store.add(record)
    found = summary(records())
    report.write(tmp_path, found, records())
    before = {name: (tmp_path / name).read_bytes() for name in (SUMMARY, report.PAGE)}
    assert report.again(tmp_path) == tmp_path / report.PAGE
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    (tmp_path / SUMMARY).unlink()
    report.again(tmp_path)
    assert Summary.model_validate_json((tmp_path / SUMMARY).read_bytes()).metrics == ("exact_match", "f1")
    (tmp_path / SUMMARY).write_text("{}")
    with pytest.raises(InvalidValueError, match=r"expected .* to be a summary of this version"):
        report.again(tmp_path)


def test_a_folder_without_an_evaluation_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"to hold run\.json and items\.jsonl"):
        report.again(tmp_path)


def test_of_recordings_latencies_are_called_ms() -> None:
    words = report.html(summary(records()), records()[:1])
    ms = report.html(summary(records(), made.RUN.model_copy(update={"unit": "ms"})), records()[:1])
    for text in ("Latency in {} of the source, at each target token", "lag (AIL), {} of the source", "phi is how many {} of the source"):
        assert text.format("words") in words
        assert text.format("ms") in ms
        assert text.format("words") not in ms
    assert "0.4 words of lag" in words
    assert "160 ms of lag" in ms
