"""Log lines as an operator's tools read them: one JSON object each, libraries' too, with the session's id and nothing of its stream."""

import asyncio
import json
import logging
import warnings

import pytest
import structlog

from server.logs import configure_logs
from tests.server.live import END, Live, append, send, session, until, wait_until


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def test_every_line_is_json_those_of_libraries_too(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info", "json")
    structlog.get_logger().info("something.happened", session="ab", count=3)
    logging.getLogger("uvicorn.error").warning("odd: %s", "thing")
    try:
        raise ValueError("no")
    except ValueError:
        structlog.get_logger().exception("it.broke")
        logging.getLogger("lib").exception("it broke")
    ours, theirs, broken, broken_too = lines(capsys)
    assert {**ours, "timestamp": ""} == {"event": "something.happened", "session": "ab", "count": 3, "level": "info", "timestamp": ""}
    assert (theirs["event"], theirs["level"], theirs["logger"]) == ("odd: thing", "warning", "uvicorn.error")
    assert "ValueError: no" in str(broken["exception"])
    assert "ValueError: no" in str(broken_too["exception"])


def test_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("warning", "text")
    structlog.get_logger().info("quiet")
    structlog.get_logger().warning("something.happened", session="ab")
    (line,) = capsys.readouterr().err.splitlines()
    assert "something.happened" in line
    assert "session=ab" in line
    assert "\x1b" not in line  # no colours where there is no terminal


def test_what_a_terminal_would_obey_is_shown_in_text(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "a\x1b]0;owned\x07\x9b2J\r\n2026 forged é 世 \u202e"
    configure_logs("warning", "text")
    structlog.get_logger().warning(evil, text=evil, listed=[evil])
    logging.getLogger("lib").warning("%s", evil)
    try:
        raise ValueError(evil)
    except ValueError:
        structlog.get_logger().exception("it.broke")
        logging.getLogger("lib").exception("it broke")
    out = capsys.readouterr().err
    assert all(char.isprintable() or char == "\n" for char in out)
    assert out.count("owned") == out.count("forged é 世") == 6
    assert not any(line.startswith("2026 forged") for line in out.split("\n"))


def test_without_a_terminal_the_default_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("info")
    structlog.get_logger().info("something.happened")
    assert lines(capsys)[0]["event"] == "something.happened"


def test_libraries_never_log_what_is_streamed_at_whatever_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logs("debug", "json")

    async def act(live: Live) -> str:
        async with session(live) as ws:
            await send(ws, append("Rumpelstiltskin "), END)
            return str((await until(ws, "done"))[-1]["text"])

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        target = asyncio.run(act(live))
    out = capsys.readouterr().err
    told = [json.loads(line) for line in out.splitlines()]
    assert "Rumpelstiltskin" not in out
    assert target.strip()
    assert not any(target.strip() in str(line) for line in told)
    started, done = ([line for line in told if line["event"] == name] for name in ("session.started", "session.done"))
    assert started[0]["session"] == done[0]["session"]
    assert (started[0]["model"], started[0]["head"], done[0]["reason"]) == ("tiny", "entropy", "length")


def test_warnings_of_python_are_lines_too(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        configure_logs("info", "json")
        warnings.simplefilter("always")
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    (line,) = lines(capsys)
    assert line["logger"] == "py.warnings"
    assert "DeprecationWarning: old" in str(line["event"])
