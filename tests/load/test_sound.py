"""Sound under load: recordings are streamed as they would be recorded, beside texts or alone, and soaked like those."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import main
from errors import InvalidValueError
from load.crowd import Plan
from load.feed import sound_feeds
from load.session import Target, behave
from load.soak import soak
from tests.server.hearing import SLOTS, hearing, sound_file
from tests.server.live import Live, wait_until


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with hearing(max_queued_events=16, send_buffer=4096, stalled_seconds=0.5) as server:
        wait_until(lambda: server.worker.ready)
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    path.write_bytes(sound_file(seconds=0.95))
    return path


def target(live: Live) -> Target:
    return Target(f"ws://127.0.0.1:{live.port}", "listen", {"threshold": 0.33})


def test_a_piece_is_due_when_its_last_sample_would_have_been_recorded(tmp_path: Path, file: Path) -> None:
    (feed,) = sound_feeds([file])
    assert feed.due == pytest.approx([0.1 * n for n in range(1, 10)] + [0.95])
    assert sum(map(len, feed.pieces)) == 2 * 15_200
    assert feed.options == {"audio": {"format": "pcm16", "rate": 16_000}}
    stereo = tmp_path / "stereo.wav"
    stereo.write_bytes(sound_file(seconds=0.95, channels=2))
    assert sound_feeds([stereo])[0].pieces == feed.pieces


def test_a_session_hears_the_whole_recording_and_answers_by_its_messages(live: Live, file: Path) -> None:
    result = asyncio.run(behave(target(live), sound_feeds([file])[0]))
    assert result.error is None
    assert result.trace.done is not None
    assert result.trace.done.usage.source_units == 950
    assert result.trace.lags
    assert min(result.trace.lags) >= 0


def test_a_soak_of_sound_ends_with_slots_free_and_outputs_as_alone(live: Live, file: Path) -> None:
    plan = Plan(
        clients=SLOTS - 1, seconds=3.0, vanishing=0.3, deaf=0.15, linger=0.5, seed=9
    )  # each of the three kinds comes first to one of the three
    # The server's process is this one: its memory is not only its own.
    found = asyncio.run(soak(target(live), sound_feeds([file]), plan, memory_growth=0.5, differing=0.0))
    assert found.held, found.checks
    assert found.sessions["vanish"] > 0
    assert found.words_per_second == 0
    assert found.sound_per_second > 0


def test_what_is_no_recording_is_told(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "empty.wav").write_bytes(sound_file(seconds=0))
    for name, said in (("text.wav", "expected a WAV"), ("none.wav", "expected a WAV"), ("empty.wav", "expected sound")):
        with pytest.raises(InvalidValueError, match=said):
            sound_feeds([tmp_path / name])


def test_the_command_streams_texts_beside_recordings(
    live: Live, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], file: Path, tmp_path: Path
) -> None:
    (tmp_path / "sources.txt").write_text("The dog sat.\n")
    url = f"ws://127.0.0.1:{live.port}"
    flags = [url, "--task", "listen", "--clients", "3", "--duration", "4", "--rate", "20", "--audio", str(file), "--json"]
    monkeypatch.setattr(sys, "argv", ["proactivellm", "load", *flags, "--source", str(tmp_path / "sources.txt")])
    with pytest.raises(SystemExit) as left:
        main.main()
    assert left.value.code == 0
    out = capsys.readouterr().out
    told = json.loads(out[out.index("{\n") :])  # the server logs to the same place here
    assert told["words_per_second"] > 0
    assert told["sound_per_second"] > 0
