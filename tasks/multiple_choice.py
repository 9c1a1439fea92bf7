"""Multiple choice data in MCTest's text format: a story, four questions, four options each. Knows no model and no metric."""

import re
from collections.abc import Sequence
from pathlib import Path

from errors import InvalidValueError
from tasks.example import Example
from tasks.files import text

RULE = re.compile(r"^\*{10,}\s*$", re.MULTILINE)
STORY = re.compile(r"^Story:\s*(\S+)", re.MULTILINE)
QUESTION = re.compile(r"^(\d+): (?:one|multiple): (\S.*)$")
OPTION = re.compile(r"^([* ])([A-Z])\) (\S.*)$")
LETTERS = "ABCD"


def read(path: Path) -> list[Example]:
    """One Example a question; the story is the source, question and options are inputs, the letter is the reference.

    `*` marks the right option. Where no option of the file has one, the same file with stars is read: NAME.answers.txt beside it.
    Raises InvalidValueError naming the file, the story and what was expected.
    """
    content = text(path)
    if not re.search(r"^\*[A-Z]\) ", content, re.MULTILINE):
        starred = path.with_name(f"{path.stem}.answers.txt")
        if not starred.exists():
            raise InvalidValueError(f"{path}: expected `*` before right options, or {starred.name} beside it; got neither")
        path, content = starred, text(starred)
    return [example for block in RULE.split(content) if block.strip() for example in _story(path, block)]


def _story(path: Path, block: str) -> list[Example]:
    head, _, body = block.strip().partition("\n\n")
    name = STORY.search(head)
    if name is None:
        raise InvalidValueError(f"{path}: expected `Story: NAME` below a line of stars; got {head[:40]!r}")
    where = f"{path}, story {name[1]}"
    lines = body.split("\n")
    starts = [number for number, line in enumerate(lines) if QUESTION.match(line)]
    source = "\n".join(lines[: starts[0]]).strip() if starts else ""
    if not source:
        raise InvalidValueError(f"{where}: expected a text, then questions; got {body[:40]!r}")
    return [
        _question(where, name[1], source, [line for line in lines[start:end] if line.strip()])
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]


def _question(where: str, story: str, source: str, lines: Sequence[str]) -> Example:
    asked = QUESTION.match(lines[0])
    options = [OPTION.match(line) for line in lines[1:]]
    if asked is None or [option and option[2] for option in options] != list(LETTERS):
        raise InvalidValueError(f"{where}: expected a question and options A) to D), one a line; got {' / '.join(lines)!r}")
    found = [option for option in options if option is not None]
    right = [option[2] for option in found if option[1] == "*"]
    if len(right) != 1:
        raise InvalidValueError(f"{where}, question {asked[1]}: expected one `*`; got {len(right)}")
    return Example(
        id=f"{story}:{asked[1]}",
        source=source,
        inputs={"question": asked[2].strip(), "options": "\n".join(f"{option[2]}) {option[3].strip()}" for option in found)},
        references=(right[0],),
        cluster=story,
    )
