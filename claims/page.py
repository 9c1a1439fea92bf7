"""`python -m claims.page`: docs/claims.md from the committed results alone. Knows claims and Markdown; computes nothing itself."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import typer

from claims import h0, h1, h2, h3, h4, prose, speech
from claims.claim import Claim, Grid
from claims.results import Result, read_all

CLAIMS: tuple[Callable[[Mapping[str, Result]], Claim], ...] = (
    h0.judge,
    h1.judge,
    h2.judge,
    h2.mended,
    h3.judge,
    h4.judge,
    speech.judge,
)
PAGE = Path("docs/claims.md")


def render(results: Mapping[str, Result]) -> str:
    """The page."""
    claims = [judge(results) for judge in CLAIMS]
    summary = _table([("claim", "", "verdict"), *((claim.name, claim.title, f"**{claim.judgement}**") for claim in claims)])
    return "\n\n".join([prose.INTRODUCTION, summary, *map(_section, claims), _origin(results)]) + "\n"


def _section(claim: Claim) -> str:
    findings = [(finding.what, finding.number or "–", finding.judgement) for finding in claim.findings]
    needed = "" if claim.least is None else f" It holds if {claim.least} of these do."
    parts = [
        f"## {claim.name}: {claim.title.lower()}. {claim.judgement[0].upper()}{claim.judgement[1:]}",
        claim.statement + needed,
        _table([("what is asked", "found", "verdict"), *findings]),
        *map(_grid, claim.grids),
    ]
    return "\n\n".join(parts)


def _grid(grid: Grid) -> str:
    return f"**{grid.title[0].upper()}{grid.title[1:]}**\n\n{_table(grid.rows)}"


def _origin(results: Mapping[str, Result]) -> str:
    header = ("results", "model", "weights", "data", "items", "thresholds chosen on")
    rows = [
        (
            name,
            found.header.model,
            (found.header.model_hash or "–")[:12],
            ", ".join(found.header.data),
            f"{len(found.lines):,}",
            ", ".join(found.header.development) or "–",
        )
        for name, found in sorted(results.items())
    ]
    return "## Where the numbers come from\n\n" + (_table([header, *rows]) if rows else "Nothing was run yet.")


def _table(rows: Sequence[Sequence[str]]) -> str:
    header, *body = rows
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(cell.replace('|', '·') for cell in line)} |" for line in lines)


def main() -> None:
    """Write docs/claims.md, from what is committed in claims/results."""
    PAGE.write_text(render(read_all()), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    typer.run(main)
