"""H0: a head's score says whether the prefix's next token is the full view's, better than phi alone does. Knows one part's file a task."""

from collections.abc import Mapping

import numpy as np

from claims import prose
from claims.claim import Claim, Finding, Grid, judged
from claims.results import Result
from evaluation.compare import verdict
from evaluation.signal_test import PHI, SignalRow, compared
from evaluation.tables import number

WHERE = {"h0-needle": "needle QA", "h0-squad": "SQuAD", "h0-translate": "translation"}
HEADS = ("entropy", "attention", "mass")


def judge(results: Mapping[str, Result]) -> Claim:
    """Each head on each task: the difference of the areas lies above 0."""
    findings, grids = [], []
    for part, where in WHERE.items():
        rows = table(results[part]) if part in results else {}
        for head in HEADS:
            row = rows.get(head)
            told = number(row.against_phi, 3, signed=True) if row else ""
            findings.append(Finding(f"{where}: {head} better than phi alone", row.against_phi.low > 0 if row else None, told))
        if rows:
            found = results[part]
            title = (
                f"{where}: {sum(len(line.rows) for line in found.lines):,} prefixes of {len(found.lines):,} items ({found.header.model})"
            )
            grids.append(Grid(title, [("score", "area under the ROC curve", "minus phi alone"), *map(_cells, rows.values())]))
    return Claim("H0", "The signal knows", prose.H0, findings, grids)


def table(result: Result) -> dict[str, SignalRow]:
    """The rows by predictor, from a part's probes."""
    probes = np.array([row for line in result.lines for row in line.rows], dtype=np.float64)  # [n, columns]
    by_name = dict(zip(result.header.columns, probes.T, strict=True))
    labels = by_name.pop("agrees") > 0
    of_item = [place for place, line in enumerate(result.lines) for _ in line.rows]
    found = compared(by_name, labels, of_item, [line.cluster for line in result.lines])
    return {row.name: row for row in found}


def _cells(row: SignalRow) -> tuple[str, str, str]:
    against = "" if row.name == PHI else judged(row.against_phi, verdict(row.against_phi), 3)
    return row.name, number(row.auc, 3), against
