"""The page: every claim has its verdict, from the results alone; and the one in docs is of what is committed."""

from pathlib import Path

import pytest

from claims.page import PAGE, render
from claims.results import read_all
from tests.claims.made import answering
from tests.claims.test_h0 import probes
from tests.claims.test_h2 import translation

ROOT = Path(__file__).parents[2]


def test_without_results_nothing_was_run() -> None:
    page = render({})
    assert page.count("**not run**") == 7
    assert "**holds**" not in page
    assert "Nothing was run yet." in page


def test_verdicts_are_of_the_results_and_tables_are_whole() -> None:
    results = answering("h1-needle", 2000) | answering("h1-squad", 1008, coverage=0.8, head=0.9)
    page = render(results | {"h2-translate": translation((0.1, 0.1, 0.1)), "h0-squad": probes("h0-squad")})
    verdicts = [line.split("|")[3].strip() for line in page.splitlines() if line.startswith("| H")]
    assert verdicts == ["**not run**", "**not shown**", "**holds**", "**not run**", "**not run**", "**not run**"]  # mended H2: other head
    tables = [block for block in page.split("\n\n") if block.startswith("|")]
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables)
    assert "1 · " not in page


@pytest.mark.slow
def test_the_page_in_docs_is_of_what_is_committed() -> None:
    assert (ROOT / PAGE).read_text(encoding="utf-8") == render(read_all()), "run `make claims`"
