"""Pages lead to each other: every link has a target, and whoever begins at docs/README.md finds every page."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import PAGES, ROOT

LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)")


def links(page: Path) -> set[Path]:
    return {(page.parent / target).resolve() for target in LINK.findall(page.read_text(encoding="utf-8"))}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_has_a_target(page: Path) -> None:
    assert not [target for target in links(page) if not target.exists()]


def test_the_map_has_every_page() -> None:
    start = ROOT / "docs/README.md"
    assert set((ROOT / "docs").rglob("*.md")) - {start} <= links(start)
    assert start in links(ROOT / "README.md")
