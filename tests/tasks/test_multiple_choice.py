"""MCTest's text format, with the answers marked or apart."""

from pathlib import Path

import pytest

from errors import InvalidValueError
from tasks.multiple_choice import read

RULE = "*" * 51
STORY = f"""{RULE}
Story:            mc500.dev.0
Author:           1
Qual. score:      90
Work Time(s):     1446
Creativity Words: ant,nana

It was Jessie Bear's birthday.  She made
a big cake.

Lion came over. 1 cake was not enough.

1: one: Who was having a birthday?
*A) Jessie Bear
 B) no one
 C) Lion
 D) Tiger

2: multiple: What did Jessie make?
 A) tea
 B) made a mess and
 C) a cake
*D) a big cake

{RULE}
Story:            mc500.dev.1
Author:           2
Work Time(s):     3

Todd swam.

1: one: Who swam?
 A) Ann
*B) Todd
 C) Bob
 D) Cid

"""


def write(path: Path, content: str) -> Path:
    path.write_bytes(content.replace("\n", "\r\n").encode())
    return path


def test_every_question_is_an_item_of_its_story(tmp_path: Path) -> None:
    first, second, third = read(write(tmp_path / "mc.dev.txt", STORY))
    assert (first.id, second.id, third.id) == ("mc500.dev.0:1", "mc500.dev.0:2", "mc500.dev.1:1")
    assert first.source == "It was Jessie Bear's birthday.  She made\na big cake.\n\nLion came over. 1 cake was not enough."
    assert first.inputs == {"question": "Who was having a birthday?", "options": "A) Jessie Bear\nB) no one\nC) Lion\nD) Tiger"}
    assert [item.references for item in (first, second, third)] == [("A",), ("D",), ("B",)]
    assert first.cluster == second.cluster == "mc500.dev.0"
    assert third.source == "Todd swam."


def test_answers_apart_are_found_beside_the_file(tmp_path: Path) -> None:
    plain = write(tmp_path / "mc.test.txt", "".join(" " + line[1:] if line.startswith("*A") else line for line in STORY.splitlines(True)))
    bare = write(tmp_path / "mc.test.txt", STORY.replace("\n*A)", "\n A)").replace("\n*B)", "\n B)").replace("\n*D)", "\n D)"))
    starred = write(tmp_path / "mc.test.answers.txt", STORY)
    assert plain == bare
    assert read(bare) == read(starred)


def test_without_any_answer_the_file_that_is_missing_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "mc.test.txt", STORY.replace("\n*A)", "\n A)").replace("\n*B)", "\n B)").replace("\n*D)", "\n D)"))
    with pytest.raises(InvalidValueError, match=r"expected `\*` before right options, or mc\.test\.answers\.txt beside it; got neither"):
        read(path)


@pytest.mark.parametrize(
    ("old", "new", "got"),
    [
        (" B) no one\n", "*B) no one\n", r"story mc500\.dev\.0, question 1: expected one `\*`; got 2"),
        ("*A) Jessie Bear\n", " A) Jessie Bear\n", r"story mc500\.dev\.0, question 1: expected one `\*`; got 0"),
        (" B) no one\n", "", r"story mc500\.dev\.0: expected a question and options A\) to D\)"),
        (" B) no one\n", " B) no one\nelse\n", r"story mc500\.dev\.0: expected a question and options A\) to D\)"),
        ("Story:            mc500.dev.1\n", "", "expected `Story: NAME` below a line of stars; got 'Author"),
        ("Todd swam.\n", "", r"story mc500\.dev\.1: expected a text, then questions"),
    ],
)
def test_what_is_not_the_format_is_refused(tmp_path: Path, old: str, new: str, got: str) -> None:
    assert STORY.count(old) == 1
    with pytest.raises(InvalidValueError, match=rf"mc\.dev\.txt.*{got}"):
        read(write(tmp_path / "mc.dev.txt", STORY.replace(old, new)))
