"""Sound with the command: sent to the sample and on time, shown in ms, and what a mistake is told."""

import asyncio
import io
import re
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import soundfile
from proactivellm_client import Read
from rich.console import Console

from cli import stream_audio
from cli.stream_audio import Sound, open_sound
from cli.stream_view import LiveView
from errors import InvalidValueError
from tests.cli.test_stream import DONE, run
from tests.server.hearing import PCM, hearing, sound_file
from tests.server.live import Live, wait_until


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with hearing() as server:
        wait_until(lambda: server.worker.ready)
        yield server


class Taken:
    """A session that only takes samples, and when they came."""

    def __init__(self) -> None:
        self.came: list[tuple[float, bytes]] = []
        self.ended = False

    async def send_audio(self, pcm: bytes) -> None:
        self.came.append((time.perf_counter(), pcm))

    async def end(self) -> None:
        self.ended = True


def played(sound: Sound, pace: float) -> Taken:
    session, heard = Taken(), []
    asyncio.run(sound.send(session, pace, heard.append))  # type: ignore[arg-type]
    assert session.ended
    assert heard == sorted(heard)
    return session


@pytest.mark.parametrize(("kind", "rate", "channels"), [("WAV", 16_000, 1), ("FLAC", 44_100, 2), ("WAV", 8_000, 1)])
def test_a_file_is_sent_to_its_last_sample(tmp_path: Path, kind: str, rate: int, channels: int) -> None:
    file = tmp_path / "sound"
    file.write_bytes(sound_file(kind, rate=rate, channels=channels))
    sound = open_sound(str(file), 16_000)
    assert sound.options(silence_gate=True) == {"format": "pcm16", "rate": rate, "channels": channels, "silence_gate": True}
    session = played(sound, 0)
    samples, _ = soundfile.read(str(file), dtype="int16")
    assert b"".join(piece for _, piece in session.came) == samples.tobytes()
    assert {len(piece) for _, piece in session.came[:-1]} == {2 * channels * (rate // 10)}


def test_pieces_go_out_when_their_last_sample_would_have_been_recorded() -> None:
    """Odd pieces, slow to come: due times are counted in samples, so that what was late does not make the next late."""
    sizes = [1_601, 799, 3_333, 1, 2_000, 1_600]

    async def pieces() -> AsyncIterator[bytes]:
        for index, size in enumerate(sizes):
            if index == 2:
                await asyncio.sleep(0.05)
            yield bytes(2 * size)

    started = time.perf_counter()
    came = played(Sound(16_000, 1, pieces), 1.0).came
    due, late = 0.0, []
    for size, (at, _) in zip(sizes, came, strict=True):
        due += size / 16_000
        late.append(at - started - due)
    assert min(late) > -0.002
    assert min(late[3:]) < 0.15  # on a busy machine some are late; not all


def test_standard_input_is_pcm_whose_last_half_sample_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(PCM[:5_001])))
    session = played(open_sound("-", 8_000), 0)
    assert b"".join(piece for _, piece in session.came) == PCM[:5_000]


def test_the_microphone_is_sent_as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stream:
        def __init__(self, **options: Any) -> None:
            assert (options["samplerate"], options["blocksize"], options["dtype"]) == (16_000, 1_600, "int16")
            self.callback = options["callback"]

        def __enter__(self) -> None:
            for index in range(3):
                self.callback(bytes([index, 0]) * 1_600, 1_600, None, None)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setitem(sys.modules, "sounddevice", SimpleNamespace(RawInputStream=Stream, PortAudioError=OSError))

    async def act() -> list[bytes]:
        pieces = stream_audio._microphone(16_000)
        return [await anext(pieces) for _ in range(3)]

    assert [piece[0] for piece in asyncio.run(act())] == [0, 1, 2]
    assert open_sound("mic", 16_000).live


def test_a_microphone_that_is_not_there_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(InvalidValueError, match="pip install sounddevice"):
        played(open_sound("mic", 16_000), 1)


def test_a_file_is_streamed_and_what_comes_back_is_shown(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "sound.wav"
    file.write_bytes(sound_file())
    url = f"ws://127.0.0.1:{live.port}"
    flags = ["--url", url, "--task", "listen", "--threshold", "0.33", "--pace", "0", "--plain", "--no-silence-gate"]
    assert run(monkeypatch, "stream", "--audio", str(file), *flags) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith(">")][:2] == ["> 0 s", "> 1 s"]
    assert any(re.fullmatch(r"< '.+' phi=\d+", line) for line in lines)
    assert "2500 ms read" in lines[-1]


def test_a_file_that_breaks_off_is_one_line(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "half.flac"
    file.write_bytes(sound_file("FLAC")[:20_000])
    url = f"ws://127.0.0.1:{live.port}"
    assert run(monkeypatch, "stream", "--audio", str(file), "--url", url, "--task", "listen", "--pace", "0", "--plain") == 2
    assert "up to its end" in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--audio", "nowhere.wav"], "expected a WAV, FLAC or Ogg file"),
        (["--audio", "x.wav", "text.txt"], "expected a text file or --audio, got both"),
        ([], "expected a text file or --audio, got neither"),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(monkeypatch, "stream", *arguments) == 2
    assert said in capsys.readouterr().err


def test_the_live_view_shows_how_much_was_heard_and_read() -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    with LiveView(console, "listen") as view:
        view.heard(100)
        view.heard(3_400)
        view.event(Read(seq=1, phi=2_813, n=8))
        view.event(DONE)
    shown = Console(width=80, file=io.StringIO())
    shown.print(view.render())
    text = shown.file.getvalue()  # type: ignore[attr-defined]
    assert "2.8 s read,   3.4 s sent" in text
    assert "ms read below" in text
