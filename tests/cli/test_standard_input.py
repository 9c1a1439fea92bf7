"""Standard input that stays open keeps no command from ending; one that is closed is told of."""

import asyncio
import io
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from cli import standard_input
from tests.cli.test_stream import run
from tests.server.live import Live, wait_until


def gathered(read: object) -> list[str]:
    async def act() -> list[str]:
        return [piece async for piece in standard_input.pieces(read)]  # type: ignore[arg-type]  # a stand-in

    return asyncio.run(act())


def test_pieces_come_up_to_the_first_empty_one() -> None:
    assert gathered(io.StringIO("one\ntwo\n\nthree").readline) == ["one\n", "two\n", "\n", "three"]


def test_an_error_of_the_read_is_its_readers() -> None:
    def broken() -> str:
        raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")

    with pytest.raises(UnicodeDecodeError):
        gathered(broken)


@pytest.mark.parametrize("arguments", [["stream", "-"], ["stream", "--audio", "-"], ["score-delays", "-"]])
def test_closed_standard_input_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert run(monkeypatch, *arguments) == 2
    assert capsys.readouterr().err == "proactivellm: expected standard input, got one that is closed\n"


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a shell starts in the background ignores interrupts, and so does all that it starts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def waiting(interruptible: None) -> Iterator[tuple[Live, "subprocess.Popen[str]"]]:
    """A server, and a command that streams to it and waits for more."""
    with Live(grace_seconds=0.2) as live:
        wait_until(lambda: live.worker.ready)
        flags = ["--url", f"ws://127.0.0.1:{live.port}", "--task", "echo", "--plain"]
        command = [sys.executable, "-m", "cli.main", "stream", "-", *flags]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as going:
            assert going.stdin is not None
            assert going.stdout is not None
            going.stdin.write("The dog \n")
            going.stdin.flush()
            assert going.stdout.readline().startswith(">")
            yield live, going
            going.kill()


def test_an_interrupt_ends_a_command_that_waits(waiting: tuple[Live, "subprocess.Popen[str]"]) -> None:
    _, going = waiting
    going.send_signal(signal.SIGINT)
    assert going.wait(20) == 130


def test_a_server_that_is_gone_is_told_while_the_input_is_open(waiting: tuple[Live, "subprocess.Popen[str]"]) -> None:
    live, going = waiting
    live.server.should_exit = True
    assert going.wait(30) == 2
    assert going.stderr is not None
    told = going.stderr.read().splitlines()
    assert len(told) == 1
    assert told[0].startswith("proactivellm: ")
