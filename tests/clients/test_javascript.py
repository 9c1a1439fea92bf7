"""The JavaScript client: its own tests in Node, its types, what is packed, and a session with the real server."""

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import actions
from engine.request import Request
from tests import tiny
from tests.clients.node import ROOT, node, run
from tests.server.keyed import keyed
from tests.server.live import LENGTH, TEXT, Live, wait_until
from tests.server.proxy import Fault, proxied

CLIENT = ROOT / "clients" / "javascript"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Live, str]]:
    file, key = keyed(tmp_path_factory.mktemp("keys"))
    with Live(api_keys_file=file) as server:
        wait_until(lambda: server.worker.ready)
        yield server, key


def test_in_node() -> None:
    tests = sorted(str(path) for folder in (CLIENT / "tests", ROOT / "tests" / "clients" / "web") for path in folder.glob("*.test.*js"))
    assert len(tests) == 3
    run(*node(), "--test", *tests)


@pytest.mark.parametrize("project", ["javascript", "web"])
def test_types(project: str) -> None:
    compiler = shutil.which("tsc", path=CLIENT / "node_modules" / ".bin") or shutil.which("tsc")
    if compiler is None:
        pytest.skip("TypeScript is not installed: npm install in clients/javascript")
    run(compiler, "--project", str(ROOT / "clients" / project / "tsconfig.json"))


def test_what_is_packed(tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not installed")
    (packed,) = json.loads(
        run(npm, "pack", "--json", "--offline", "--cache", str(tmp_path / "cache"), "--pack-destination", str(tmp_path), str(CLIENT))
    )
    sources = {f"src/{path.name}" for path in (CLIENT / "src").iterdir()}
    assert {file["path"] for file in packed["files"]} == {*sources, "LICENSE", "README.md", "index.d.ts", "package.json"}


def test_the_real_server(live: tuple[Live, str]) -> None:
    server, key = live
    words = " ".join(TEXT)
    seen = json.loads(run(*node(), "tests/clients/javascript_server.mjs", f"http://127.0.0.1:{server.port}", words, key))
    ours = tiny.run(tiny.engine(length=LENGTH), Request("echo", threshold=0.4), tiny.words(words))
    assert [(event["type"], event.get("text")) for event in seen["events"]] == [
        (type(event).__name__.lower(), getattr(event, "text", None)) for event in ours
    ]
    done = ours[-1]
    assert isinstance(done, actions.Done)
    assert (seen["events"][-1]["rco"], seen["events"][-1]["ail"]) == (done.rco, done.ail)
    assert seen["refused"] == ["unknown_task", "task"]
    assert seen["whole"].startswith(seen["exchanged"])
    assert seen["exchanged"]
    assert seen["ping"] > 0


def test_without_a_key_it_is_no_session(live: tuple[Live, str]) -> None:
    with pytest.raises(AssertionError, match="ConnectError"):
        run(*node(), "tests/clients/javascript_server.mjs", f"http://127.0.0.1:{live[0].port}", "a")


def test_a_session_goes_on_over_connections_that_break() -> None:
    words = " ".join(TEXT)

    async def act(live: Live, faults: list[Fault]) -> list[dict[str, Any]]:
        async with proxied(live.port, faults) as proxy:
            printed = await asyncio.to_thread(run, *node(), "tests/clients/javascript_resume.mjs", proxy.url, words)
        events: list[dict[str, Any]] = json.loads(printed)
        return events

    with Live(resume_seconds=20) as live:
        wait_until(lambda: live.worker.ready)
        unbroken = asyncio.run(act(live, []))
        broken = asyncio.run(act(live, [Fault(down=1000), Fault(down=700, silent=True)]))
    resumed = [event for event in broken if event["type"] == "session.resumed"]
    assert len(resumed) >= 1
    assert [event for event in broken if event not in resumed] == unbroken
