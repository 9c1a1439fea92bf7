"""A claim as it is judged: findings, each of which its interval carries or not, and tables. Knows no result and no page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evaluation.bootstrap import Interval
from evaluation.compare import Verdict
from evaluation.tables import number

Judgement = Literal["holds", "not shown", "not run"]


@dataclass(frozen=True)
class Finding:
    """One thing that the claim asks for. `holds`: whether its interval carries it; None where it was not run."""

    what: str
    holds: bool | None
    number: str = ""

    @property
    def judgement(self) -> Judgement:
        """In words."""
        return "not run" if self.holds is None else "holds" if self.holds else "not shown"


@dataclass(frozen=True)
class Grid:
    """A table: cells as text, the first row the header."""

    title: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Claim:
    """`least`: how many of the findings must hold; None: all of them."""

    name: str
    title: str
    statement: str
    findings: Sequence[Finding]
    grids: Sequence[Grid] = ()
    least: int | None = None

    @property
    def judgement(self) -> Judgement:
        """`not run` as long as what was not run could decide it."""
        held, unknown = (sum(finding.holds is state for finding in self.findings) for state in (True, None))
        needed = self.least or max(len(self.findings), 1)
        return "holds" if held >= needed else "not run" if held + unknown >= needed or not self.findings else "not shown"


def judged(figure: Interval, verdict: Verdict, digits: int = 1) -> str:
    """A difference, with what its interval carries."""
    return f"{number(figure, digits, signed=True)} {verdict}"
