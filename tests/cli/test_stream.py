"""Streaming a text with the command: what is sent, what is shown, and what a mistake is told."""

import io
import re
import sys
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proactivellm_client import Done, Error, Read, Usage, Write
from rich.console import Console

from cli import main
from cli.stream import options, pieces
from cli.stream_view import LiveView, PlainView, Shown, Word, annotated
from errors import InvalidValueError
from server.app import create_app
from server.worker import Loader, load_checkpoint
from tests import tiny
from tests.server.live import Live, wait_until

USAGE = Usage(prompt_tokens=9, source_tokens=4, source_units=3, target_tokens=2, probes=5)
DONE = Done(seq=5, text="Der Hund schläft.", reason="end", usage=USAGE, rco=0.75, ail=1.5)


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["proactivellm", *arguments])
    with pytest.raises(SystemExit) as left:
        main.main()
    code = left.value.code
    return code if isinstance(code, int) else 0


@given(st.text("ab \n\t世", max_size=40))
def test_pieces_are_words_with_the_blanks_behind_them(text: str) -> None:
    made = pieces(text)
    assert "".join(made) == text
    assert all(piece.strip() and not re.search(r"\s\S", piece.lstrip()) for piece in made if piece.strip())


def test_inputs_are_given_by_name() -> None:
    assert options({"input": ["question=a=b", "who="], "tier": "low"}) == {"inputs": {"question": "a=b", "who": ""}, "tier": "low"}
    with pytest.raises(InvalidValueError, match="name=text"):
        options({"input": ["question"]})


def test_a_file_is_streamed_and_every_event_is_a_line(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "source.txt"
    file.write_text("The dog sat down.\n")
    url = f"ws://127.0.0.1:{live.port}"
    flags = ["--url", url, "--task", "echo", "--threshold", "0.4", "--rate", "0", "--plain", "--decisions"]
    assert run(monkeypatch, "stream", str(file), *flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(">")] == ["> The", "> dog", "> sat", "> down."]
    assert any(re.fullmatch(r"< '.+' phi=\d", line) for line in lines)
    assert any(re.fullmatch(r"\? (read|write) score=\S+ threshold=0\.4 phi=\d", line) for line in lines)
    assert lines[-1].startswith("= length · 4 words read · 12 tokens written")


def test_standard_input_is_streamed(live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("The dog\nsat\n"))
    assert run(monkeypatch, "stream", "-", "--url", f"ws://127.0.0.1:{live.port}", "--task", "echo", "--rate", "0") == 0
    assert "3 words read" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["stream", "no-such-file.txt"], "expected a text file at 'no-such-file.txt'"),
        (["stream", "-", "--url", "ws://127.0.0.1:9"], "expected a ProactiveLLM server at ws://127.0.0.1:9"),
        (["stream", "-", "--input", "question"], "expected --input name=text"),
        (["serve", "--host", "0.0.0.0"], "--insecure allows it"),  # noqa: S104 (refused)
        (["serve", "--port", "99999"], "port: expected less than or equal to 65535"),
        (["serve", "--kv-memory", "much"], "kv_memory: expected a number of bytes such as 512MiB"),
        (["serve", "--device", "gpu"], "expected device to be cpu"),
        (["serve", "--device", "cuda:99"], "expected a CUDA device"),
        (["serve", "--config", "none.toml"], "expected a TOML file at none.toml"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run(monkeypatch, *arguments) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("proactivellm: ")
    assert said in told[0]


@pytest.mark.parametrize(
    ("loader", "flags", "said"),
    [
        (load_checkpoint, ["--model", "no/such/folder"], "expected a model folder"),
        (lambda *_: tiny.checkpoint(), ["--kv-memory", "1kB"], "hold at least one slot"),
        (lambda *_: tiny.checkpoint(), ["--slot-length", "10"], "expected slots of at least"),
    ],
    ids=["no model", "no memory", "no room"],
)
def test_models_that_cannot_be_served_are_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], loader: Loader, flags: list[str], said: str
) -> None:
    monkeypatch.setattr("server.serve.create_app", lambda config: create_app(config, loader))
    assert run(monkeypatch, "serve", "--port", "0", "--log-level", "error", *flags) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("proactivellm: ")
    assert said in told[0]


def test_a_source_that_cannot_be_sent_ends_the_stream_at_once(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("x" * live.config.max_message_bytes))
    assert run(monkeypatch, "stream", "-", "--url", f"ws://127.0.0.1:{live.port}", "--task", "echo", "--rate", "0") == 2
    assert "at most 65536 bytes" in capsys.readouterr().err


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"proactivellm {version('proactivellm')}\n"


def test_the_servers_refusal_is_told_too(live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert run(monkeypatch, "stream", "-", "--url", f"ws://127.0.0.1:{live.port}", "--task", "sing") == 2
    assert "unknown_task: expected task to be one of: ask, echo, words; got 'sing'" in capsys.readouterr().err


def test_phi_stands_under_every_word_and_long_targets_wrap() -> None:
    words = [Word("Der", 2), Word(" Hund", 2), Word(" 世界", 10), Word(" schläft.", 12)]
    above, below = annotated(words, width=40).plain.splitlines()
    assert above == "Der Hund 世界 schläft."
    assert below == "2   2    10   12"
    assert annotated(words, width=10).plain.splitlines() == ["Der Hund", "2   2", "世界", "10", "schläft.", "12"]


def test_a_word_written_in_parts_keeps_the_phi_of_its_first() -> None:
    shown = Shown()
    for index, (text, phi) in enumerate([(" sch", 2), ("läft", 3), (". Der", 3), ("\n", 4), ("Hund", 5)]):
        shown.take(Write(seq=index, text=text, index=index, count=1, phi=phi, n=1))
    assert [(word.text.strip(), word.phi) for word in shown.words] == [("schläft.", 2), ("Der", 3), ("Hund", 5)]


def test_the_live_view_shows_what_was_read_what_was_written_and_how_it_ended() -> None:
    out = io.StringIO()
    console = Console(file=out, width=60, force_terminal=True, color_system=None)
    with LiveView(console, "translate · low") as view:
        for word in ("The ", "dog ", "sleeps."):
            view.source(word)
        view.event(Read(seq=2, phi=1, n=1))
        view.event(Write(seq=3, text="Der Hund", index=0, count=2, phi=2, n=2))
        view.event(DONE)
    shown = out.getvalue()
    for part in (
        "source · translate · low",
        "The dog sleeps.",
        "Der Hund",
        "2   2",
        "end · 3 words read",
        "2 tokens written",
        "RCO 0.75",
    ):
        assert part in shown


EVIL = "a\x1b]0;owned\x07\x9b2J\u202eb"
MEEK = r"a\x1b]0;owned\x07\x9b2J\u202eb"


def test_what_a_terminal_would_obey_is_shown() -> None:
    out, plain = io.StringIO(), io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system=None)
    events = (
        Write(seq=3, text=f"{EVIL} \u200d", index=0, count=2, phi=2, n=2),
        Error(seq=4, code=EVIL, message=EVIL, fatal=False),
        Done(seq=5, text=EVIL, reason=EVIL, usage=USAGE, rco=None, ail=None),
    )
    lines = PlainView(Console(file=plain, width=100))
    with LiveView(console, "translate") as view:
        for each in (view, lines):
            each.source(f"{EVIL} ")
            for event in events:
                each.event(event)
    last = out.getvalue().rpartition("source · translate")[2]  # before it are the cursor's own escapes
    assert (last.count(MEEK), "owned\x07" in out.getvalue()) == (5, False)
    assert "\u200d" in last  # letters and emoji are joined by it
    assert (plain.getvalue().count(MEEK), "\x1b" in plain.getvalue()) == (6, False)


def test_a_servers_words_do_nothing_to_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fails() -> None:
        raise InvalidValueError(EVIL)

    monkeypatch.setattr(main, "app", fails)
    assert run(monkeypatch) == 2
    assert capsys.readouterr().err == f"proactivellm: {MEEK}\n"


def test_the_plain_view_prints_text_as_it_is() -> None:
    out = io.StringIO()
    view = PlainView(Console(file=out, width=20))
    view.event(Write(seq=3, text="[bold]a long line that no terminal cuts\n", index=0, count=2, phi=2, n=2))
    assert out.getvalue() == "< '[bold]a long line that no terminal cuts\\n' phi=2\n"
