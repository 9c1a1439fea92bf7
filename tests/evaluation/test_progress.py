"""Lines where there is no terminal."""

import pytest

from evaluation.progress import Lines, shown


def test_a_line_a_minute_and_one_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    clock = 0.0
    lines = Lines(now=lambda: clock)
    lines.stage("items", 6)
    for _ in range(6):
        clock += 25.0
        lines.advance()
    assert capsys.readouterr().err.splitlines() == [
        "items: 3 of 6 · 0:01:15 · 0:01:15 left",
        "items: 6 of 6 · 0:02:30 · 0:00:00 left",
    ]


def test_what_is_no_terminal_gets_lines_and_nothing_for_an_empty_stage(capsys: pytest.CaptureFixture[str]) -> None:
    with shown() as progress:
        progress.stage("nothing", 0)
        progress.stage("two", 2)
        progress.advance()
        progress.advance()
    assert capsys.readouterr().err == "two: 2 of 2 · 0:00:00 · 0:00:00 left\n"
