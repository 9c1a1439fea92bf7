"""Every command of the pages is run on tiny models and made data; the exceptions of rules.py are parsed. A command without a rule fails."""

import io
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
from accelerate.commands.launch import launch_command_parser
from packaging.requirements import Requirement

from cli import main
from server import serve
from tasks.data import read_data
from tests.docs import workspace
from tests.docs.pages import PAGES, ROOT, Block, Command, blocks, commands, inline
from tests.docs.rules import ASKS_A_SERVER, FEWER, NOT_OURS, NOT_RUN, SCRIPTS, SHOWN, SOON, WORDS
from tests.server.live import Live, wait_until

OURS: Any = typer.main.get_command(main.app)
USAGE_ERROR: Any = typer.BadParameter.__base__  # of the click that typer brings, or of another one


def is_shown(block: Block) -> bool:
    return any(block.page == page and block.text.startswith(beginning) for page, beginning in SHOWN)


SHELL = [block for page in PAGES for block in blocks(page) if block.language == "" and block.page not in SCRIPTS and not is_shown(block)]
EVERY = [command for block in SHELL for command in commands(block)]


def is_run(command: Command) -> bool:
    return command.program == "proactivellm" and not any(str(command).startswith(beginning) for beginning in NOT_RUN)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with workspace.opened(tmp_path_factory.mktemp("workspace")) as server:
        yield server


# ---- parsed


def parse_ours(words: tuple[str, ...]) -> None:
    name, *arguments = words
    OURS.commands[name].make_context(name, list(arguments))
    for word in arguments:
        if word.startswith("needle:"):
            assert read_data(word, "answer")


def parse_pip(words: tuple[str, ...]) -> None:
    """What it installs is the repository's own, with extras that it has, or what the Makefile and the extras install."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = {Requirement(one).name for extra in project["optional-dependencies"].values() for one in extra}
    pinned = (ROOT / "Makefile").read_text().split()
    assert words[0] == "install"
    for word in words[1:]:
        if word in ("-e", "--editable", "--no-deps"):
            continue
        folder, _, extras = word.rstrip("]").partition("[")
        if (ROOT / folder / "pyproject.toml").exists():
            assert not extras or set(extras.split(",")) <= set(project["optional-dependencies"])
        else:
            assert word in pinned or Requirement(word).name in needed | {"pyyaml", "requests", "tqdm"}, word  # which others bring


def parse_accelerate(words: tuple[str, ...]) -> None:
    assert words[0] == "launch"
    found = launch_command_parser().parse_args(list(words[1:]))
    assert (ROOT / found.config_file).exists()
    assert (found.module, found.training_script) == (True, "cli.main")
    parse_ours(tuple(found.training_script_args))


def parse_simuleval(words: tuple[str, ...]) -> None:
    """Flags that its sources name, or the agent does, some of them as options of a session."""
    found = find_spec("simuleval")
    assert found is not None
    assert found.origin is not None
    agent = ROOT / "clients/simuleval_agent.py"
    known = {f"--{option}" for option in re.findall(r'"(\w+)": ', agent.read_text())}
    for source in (agent, *Path(found.origin).parent.rglob("*.py")):
        known |= set(re.findall(r'"(--[a-z-]+)"', source.read_text()))
    assert {word for word in words if word.startswith("--")} <= known


def parse_make(words: tuple[str, ...]) -> None:
    make = shutil.which("make")
    assert make is not None
    done = subprocess.run([make, "-n", *words], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def parse_python(words: tuple[str, ...]) -> None:
    """`-m MODULE`, one whose `main` is a command, with arguments that it takes."""
    assert words[0] == "-m"
    module, *arguments = words[1:]
    app = typer.Typer()
    app.command()(import_module(module).main)
    typer.main.get_command(app).make_context(module, list(arguments))


PARSERS = {"make": parse_make, "python": parse_python, "pip": parse_pip, "accelerate": parse_accelerate, "simuleval": parse_simuleval}


def check(command: Command) -> None:
    """Fails for a command that no rule covers, or that its program would not take."""
    if command.program == "proactivellm":
        parse_ours(command.words[1:])
    else:
        assert command.program in NOT_OURS, f"no rule in tests/docs/rules.py for {command} ({command.where})"
        PARSERS[command.program](command.words[1:])


@pytest.mark.parametrize("command", EVERY, ids=lambda command: f"{command.where} {command}"[:80])
def test_every_command_is_one_that_its_program_takes(command: Command) -> None:
    check(command)


@pytest.mark.parametrize(
    "line",
    [
        "docker ps",
        "proactivellm sing",
        "proactivellm serve --loud",
        "proactivellm stream a.txt b.txt",
        "make tea",
        "python -m recipes.digits --data data/fsdd --out runs/digits --loudly",
        "python recipes/digits.py",
        "simuleval --fast",
        "pip install x",
    ],
)
def test_a_command_that_would_not_work_is_noticed(line: str) -> None:
    (command,) = commands(Block("page", 1, "", line))
    with pytest.raises((AssertionError, KeyError, USAGE_ERROR)):
        check(command)


def test_no_rule_is_left_over() -> None:
    assert set(NOT_OURS) == set(PARSERS) == {command.program for command in EVERY} - {"proactivellm"}
    for beginning in NOT_RUN:
        assert any(str(command).startswith(beginning) for command in EVERY), beginning
    every = [block for page in PAGES for block in blocks(page)]
    for page, beginning in SHOWN:
        assert any(block.page == page and block.text.startswith(beginning) for block in every), (page, beginning)
    words = {word for command in EVERY for word in (*command.words, *(value for _, value in command.environment))}
    assert set(WORDS) <= words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_commands_within_sentences_name_what_there_is(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for code in inline(page):
        program, _, rest = code.partition(" ")
        words = rest.split()
        if program == "make" and words:
            assert words[0] in targets, code
        elif program == "proactivellm" and words and not words[0].startswith("-"):
            assert words[0] in OURS.commands, code
            flags = {flag for option in OURS.commands[words[0]].params for flag in option.opts} | {"--help"}
            assert {word for word in words if word.startswith("--")} <= flags, code


# ---- run


class Brief(serve.Server):
    """Stops once its models are loaded and its device ticks, or could not be loaded."""

    async def main_loop(self) -> None:
        worker = self.config.app.state.worker  # type: ignore[union-attr]  # the application
        wait_until(lambda: worker.ready or worker.failed is not None)


def prepared(command: Command, live: Live) -> list[str]:
    """The command's words with those that are written for people replaced, and the flags that let it end soon."""
    recordings = live.config.record
    assert recordings is not None
    here = {"{url}": workspace.address(live), "{recording}": str(next(iter(recordings.iterdir()), ""))}
    name, *words = (here.get(WORDS.get(word, word), WORDS.get(word, word)) for word in command.words[1:])
    wanted = {**SOON.get(name, {}), **{flag: value for flag, value in FEWER.items() if flag in words}}
    if name in ASKS_A_SERVER:
        wanted["--url"] = workspace.address(live)
    for flag, value in wanted.items():
        if flag in words:
            words[words.index(flag) + 1] = value
        else:
            words += [flag, value]
    return [name, *words]


def run(command: Command, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["proactivellm", *prepared(command, live)])
    monkeypatch.setattr(sys, "stdin", io.StringIO(command.stdin or ""))
    monkeypatch.setattr(serve, "Server", Brief)
    for name, value in command.environment:
        monkeypatch.setenv(name, WORDS.get(value, value))
    code: object = 0
    try:
        main.main()
    except SystemExit as left:
        code = left.code or 0
    assert code == 0, f"{command} ({command.where}) left with {code}"


@pytest.mark.parametrize("block", [block for block in SHELL if any(map(is_run, commands(block)))], ids=lambda block: block.where)
def test_a_block_runs_from_top_to_bottom(block: Block, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree("report", ignore_errors=True)  # the pages' reports have one name
    for command in filter(is_run, commands(block)):
        run(command, live, monkeypatch)
