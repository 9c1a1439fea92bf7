"""Python on the pages is run against a server with a tiny model; what is written in other languages is at least well-formed."""

import ast
import asyncio
import inspect
import json
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

from tests.docs import workspace
from tests.docs.pages import PAGES, Block, blocks
from tests.docs.rules import NOT_RUN_PYTHON
from tests.server.live import Live

FENCED = [block for page in PAGES for block in blocks(page) if block.language]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with workspace.opened(tmp_path_factory.mktemp("workspace")) as server:
        yield server


def of(*languages: str) -> list[Block]:
    return [block for block in FENCED if block.language in languages]


def test_every_language_has_a_test() -> None:
    assert {block.language for block in FENCED} == {"python", "js", "json", "toml"}


@pytest.mark.parametrize("block", of("python"), ids=lambda block: block.where)
def test_python_runs_as_it_stands(block: Block, live: Live) -> None:
    program = block.text.replace("ws://127.0.0.1:8000", workspace.address(live))
    code = compile(program, block.where, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if block.page in NOT_RUN_PYTHON:
        return
    result = FunctionType(code, {"__name__": "__main__"})()
    if inspect.iscoroutine(result):
        asyncio.run(result)


@pytest.mark.parametrize("block", of("json"), ids=lambda block: block.where)
def test_json_is_json(block: Block) -> None:
    assert isinstance(json.loads(block.text), dict)


@pytest.mark.parametrize("block", of("toml"), ids=lambda block: block.where)
def test_toml_is_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", of("js"), ids=lambda block: block.where)
def test_javascript_is_a_module(block: Block, tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")
    file = tmp_path / "block.mjs"
    file.write_text(block.text)
    done = subprocess.run([node, "--check", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
