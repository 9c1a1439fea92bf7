"""Reads the pages: blocks of code, and the commands in them. Knows Markdown and the shell's quotes; knows no rule and runs nothing."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "deploy/README.md", "clients/python/README.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@dataclass(frozen=True)
class Block:
    """Lines of code without their indentation. `language` is that of the fence, "" for an indented block; `line` counts from 1."""

    page: str
    line: int
    language: str
    text: str

    @property
    def where(self) -> str:
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One call of a program. `stdin` is what `echo TEXT |` before it says, `output` the file behind `>`."""

    where: str
    words: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    stdin: str | None = None
    output: str | None = None

    @property
    def program(self) -> str:
        return self.words[0].removeprefix(".venv/bin/")

    def __str__(self) -> str:
        return shlex.join((self.program, *self.words[1:]))


def blocks(page: Path) -> Iterator[Block]:
    """Fenced blocks, and indented ones, which a blank line ends."""
    name, found, language, first = page.relative_to(ROOT).as_posix(), list[str](), None, 0
    for number, line in enumerate([*page.read_text(encoding="utf-8").splitlines(), ""], 1):
        if line.startswith("```"):
            if language is None:
                language, first = line.strip("`"), number + 1
                continue
            yield Block(name, first, language, "".join(found))
            language, found = None, []
        elif language is not None:
            found.append(f"{line}\n")
        elif line.startswith("    ") and line.strip():
            first = first if found else number
            found.append(f"{line[4:]}\n")
        elif found:
            yield Block(name, first, "", "".join(found))
            found = []


def commands(block: Block) -> Iterator[Command]:
    """The block's commands, `echo TEXT |` folded into what reads it. Raises ValueError for what is not understood."""
    for line in block.text.replace("\\\n", " ").splitlines():
        try:
            piped = _piped(line)
        except ValueError as error:
            raise ValueError(f"expected a command in {block.where}, or a rule in SHOWN; got {line!r}: {error}") from None
        stdin = " ".join(piped.pop(0)[1:]) + "\n" if len(piped) == 2 and piped[0][:1] == ["echo"] else None
        for words in piped:
            if words:
                yield _command(block.where, words, stdin)


def _piped(line: str) -> list[list[str]]:
    """Words of each command of a pipe; `>` is a word. Comments are none."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    parts: list[list[str]] = [[]]
    for word in lexer:
        if word == "|":
            parts.append([])
        elif set(word) <= set(";&|<()"):
            raise ValueError(f"expected one command a line, got {word!r}")
        else:
            parts[-1].append(word)
    return parts


def _command(where: str, words: list[str], stdin: str | None) -> Command:
    environment, output = [], None
    while "=" in words[0]:
        name, _, value = words.pop(0).partition("=")
        environment.append((name, value))
    if ">" in words:
        at = words.index(">")
        output, words = words[at + 1], words[:at] + words[at + 2 :]
    return Command(where, tuple(words), tuple(environment), stdin, output)


def inline(page: Path) -> list[str]:
    """Code within sentences."""
    return INLINE.findall(page.read_text(encoding="utf-8"))
