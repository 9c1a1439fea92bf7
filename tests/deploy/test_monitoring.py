"""Dashboard and alerts ask only for what the server exports, by its names and labels; the runbook explains all of it."""

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml

from server.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOK = (ROOT / "docs" / "operating.md").read_text()
SUFFIXES = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"], "gauge": [""], "unknown": [""]}
OF_PROMETHEUS = {"job", "instance"}  # labels that a scrape adds


def exported() -> dict[str, set[str]]:
    """Every series' name, with its labels; those of the process have none."""
    metrics = Metrics()
    labels = {made._name: set(made._labelnames) for made in vars(metrics).values() if hasattr(made, "_labelnames")}
    found = {"up": set[str]()}
    for family in metrics.registry.collect():
        for suffix in SUFFIXES[family.type]:
            known = labels.get(family.name, set())
            found[family.name + suffix] = known | ({"le"} if suffix == "_bucket" else set()) | ({"version"} if suffix == "_info" else set())
    return found


def dashboard() -> dict[str, Any]:
    board: dict[str, Any] = json.loads((DEPLOY / "grafana/dashboards/proactivellm.json").read_text())
    return board


def rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((DEPLOY / "prometheus/alerts.yml").read_text())["groups"]
    made: list[dict[str, Any]] = group["rules"]
    return made


def queries() -> list[str]:
    of_panels = [target["expr"] for panel in dashboard()["panels"] for target in panel.get("targets", [])]
    return [*of_panels, *(rule["expr"] for rule in rules())]


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    """What a query asks Prometheus for. Raises ValueError for one that is no PromQL."""
    plain = query.replace("$__rate_interval", "5m").replace("$instance", ".*").replace("$model", ".*")
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(plain), pre_visit=visit)
    return found


@pytest.mark.parametrize("query", queries())
def test_a_query_asks_for_what_is_exported(query: str) -> None:
    known = exported()
    asked = selectors(query)
    assert asked
    for selector in asked:
        assert selector.name in known, selector.name
        assert {matcher.name for matcher in selector.matchers.matchers} <= known[selector.name] | OF_PROMETHEUS


def test_a_query_for_something_else_would_be_found() -> None:
    (selector,) = selectors('sum by (model) (rate(proactivellm_tikcs_total{model=~"$model"}[$__rate_interval]))')
    assert selector.name == "proactivellm_tikcs_total"
    assert selector.name not in exported()


def test_variables_of_the_dashboard_are_labels_of_what_they_are_read_from() -> None:
    for variable in dashboard()["templating"]["list"][1:]:
        name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
        assert label in exported()[name] | OF_PROMETHEUS


def test_every_metric_of_ours_is_on_the_dashboard_or_needs_no_panel() -> None:
    asked = {selector.name for query in queries() for selector in selectors(query)}
    ours = {family.name for family in Metrics().registry.collect() if family.name.startswith("proactivellm_")}
    shown = {name for name in ours if any(series and series.startswith(name) for series in asked)}
    assert ours - shown == {"proactivellm_reads"}  # part of the decisions already


def test_the_runbook_has_every_alert_and_every_metric() -> None:
    for rule in rules():
        assert f"### {rule['alert']}\n" in RUNBOOK, rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
    for family in Metrics().registry.collect():
        if family.name.startswith("proactivellm_"):
            name = family.name + {"counter": "_total", "info": "_info"}.get(family.type, "")
            assert f"`{name}" in RUNBOOK, name


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        grid = panel["gridPos"]
        cells = {(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])}
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
