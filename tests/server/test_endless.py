"""Endless streams over a real socket: the server says what the engine says, and who must not have one is told."""

import asyncio
import json
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from proactivellm_client import Done, Event, Write, connect

from cli import main
from engine.request import NO_LIMIT, Request
from tests import tiny
from tests.engine import copyist
from tests.server.live import LENGTH, Live, receive, send, wait_until

TEXT = copyist.text(40, sentence=5)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def test_the_python_client_streams_past_the_end_of_a_slot(live: Live) -> None:
    async def act() -> list[Event]:
        events: list[Event] = []
        async with connect(live.url).session("words", rollover=True, threshold=2.0) as session:
            assert session.started.limits.max_source_tokens == session.started.limits.max_output_tokens == NO_LIMIT
            for word in TEXT.split():
                await session.send(word + " ")
            await session.end()
            async for event in session:
                events.append(event)
        return events

    events = asyncio.run(act())
    done = events[-1]
    ours = tiny.run(tiny.engine(length=LENGTH), Request("words", rollover=True, threshold=2.0), tiny.words(TEXT))[-1]
    assert isinstance(done, Done)
    assert vars(ours)["text"] == done.text == "".join(event.text for event in events if isinstance(event, Write))
    assert done.usage.source_units == 40
    assert done.usage.source_tokens > LENGTH / 2


def test_who_may_not_is_told_and_may_start_anew(live: Live) -> None:
    async def act() -> None:
        async with live.connect() as ws:
            await send(ws, {"type": "session.start", "task": "echo", "rollover": True})
            error = await receive(ws)
            assert (error["code"], error["param"], error["fatal"]) == ("invalid_value", "rollover", False)
            await send(ws, {"type": "session.start", "task": "words", "rollover": True})
            assert (await receive(ws))["type"] == "session.started"

    asyncio.run(act())


def test_the_models_page_tells_which_tasks_may(live: Live) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{live.port}/v1/models") as page:
        (model,) = json.load(page)["data"]
    assert {name: task["rollover"] for name, task in model["tasks"].items()} == {"echo": False, "ask": False, "words": True}


def test_the_command_streams_with_rollover(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "talk.txt"
    file.write_text(TEXT)
    flags = ["--task", "words", "--threshold", "2", "--rate", "0", "--plain", "--url", live.url, "--rollover"]
    monkeypatch.setattr(sys, "argv", ["proactivellm", "stream", str(file), *flags])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert not left.value.code
    assert "context" not in capsys.readouterr().out.splitlines()[-1]
