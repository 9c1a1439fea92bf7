"""Recordings of real sessions: whole, faithful, opt-in, and readable again."""

import asyncio
import base64
import json
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backbones.audio_pcm import AudioFormat
from engine.request import Request, Sampling
from errors import InvalidValueError
from server.events import to_request, to_start
from server.recording import Recording, read_recording
from tests.server.hearing import PCM, hearing
from tests.server.hearing import neighbour as listen
from tests.server.live import END, START, TEXT, Event, Live, append, neighbour, send, session, until, wait_until

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(
    st.builds(
        Request,
        task=TEXTS,
        inputs=st.dictionaries(TEXTS, TEXTS, max_size=2),
        instruction=st.none() | TEXTS,
        head=st.just("wait_k"),
        head_params=st.dictionaries(st.sampled_from(["a", "b"]), st.integers(0, 9) | TEXTS, max_size=2),
        tier=st.none() | TEXTS,
        max_lag=st.none() | st.integers(1, 99),
        stop=st.lists(st.text("ab", min_size=1, max_size=3), max_size=3),
        rollover=st.booleans(),
        sampling=st.builds(Sampling, temperature=st.floats(0, 1), top_p=st.floats(0.1, 1), seed=st.integers(0, 99)),
        decisions=st.booleans(),
        audio=st.none() | st.builds(AudioFormat, st.sampled_from(["pcm16", "float32"]), st.integers(8_000, 48_000), st.integers(1, 8)),
    )
)
def test_a_request_is_recorded_as_the_start_that_asks_for_it(request: Request) -> None:
    assert to_request(to_start(request, "m")) == request


def recordings(folder: Path) -> list[Recording]:
    return sorted(map(read_recording, folder.iterdir()), key=lambda recording: recording.head.at)


def test_a_session_is_recorded_as_it_went_over_the_wire(tmp_path: Path) -> None:
    with Live(record=tmp_path) as live:
        wait_until(lambda: live.worker.ready)
        events = asyncio.run(neighbour(live))
    (file,) = tmp_path.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    recording = read_recording(file)
    assert recording.head.session in file.name
    assert (recording.head.start.task, recording.head.start.threshold) == ("echo", START["threshold"])
    sent = [line.client.model_dump(exclude_none=True) for line in recording.lines if line.client is not None]
    assert sent == [*(append(f"{word} ") for word in TEXT), END]
    (chosen,) = (line.chosen for line in recording.lines if line.chosen is not None)
    assert (chosen.model, chosen.head, chosen.threshold) == ("tiny", "entropy", 0.4)
    got = [line.server.model_dump(exclude={"seq"}) for line in recording.lines if line.server is not None]
    assert got == events
    times = [line.at for line in recording.lines]
    assert times == sorted(times)
    assert times[0] >= 0


def test_updates_decisions_cancels_refusals_and_clients_that_leave_are_recorded_too(tmp_path: Path) -> None:
    async def act(live: Live) -> None:
        async with session(live, include=["decision"], head={"name": "fixed_chunk", "n": 1, "r": 1}) as ws:
            await send(ws, append("dog "), {"type": "session.update", "threshold": 0.5}, {"type": "session.update", "tier": "none"})
            await until(ws, "error")
            await send(ws, {"type": "session.cancel"})
            assert (await until(ws, "done"))[-1]["reason"] == "cancelled"
            await send(ws, {**START, "task": "sing"})
            await until(ws, "error")
            await send(ws, {**START})
            await until(ws, "session.started")

    with Live(record=tmp_path) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
        wait_until(lambda: live.engine.free_slots == live.engine.capacity.slots)
    cancelled, refused, left = recordings(tmp_path)
    kinds = [line.client.type if line.client else line.server.type if line.server else "-" for line in cancelled.lines]
    assert {"session.update", "session.updated", "decision", "error", "session.cancel"} < set(kinds)
    assert kinds[-1] == "done"
    assert cancelled.head.start.head == to_start(Request("t", head="fixed_chunk", head_params={"n": 1, "r": 1}), None).head
    (told,) = refused.lines
    assert told.server is not None
    assert told.server.type == "error"
    assert left.lines[-1].left


def test_nothing_is_recorded_unless_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Live() as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(neighbour(live))
    assert not list(tmp_path.iterdir())


def a_file(folder: Path) -> Path:
    head = {"recording": 1, "session": "ab", "at": "2026-01-01T00:00:00Z", "start": START}
    lines: list[Event] = [head, {"at": 0.1, "client": append("dog ")}, {"at": 0.2, "client": END}]
    file = folder / "a.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


def test_a_line_that_was_cut_off_by_a_crash_is_left_out(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    whole = read_recording(file)
    with file.open("a") as out:
        out.write('{"at": 0.3, "client": {"type": "source.')
    assert read_recording(file) == whole
    assert len(whole.lines) == 2


def test_separators_that_json_leaves_as_they_are_do_not_cut_a_line(tmp_path: Path) -> None:
    file = a_file(tmp_path)
    whole = read_recording(file)
    message = json.dumps({"at": 0.4, "client": {"type": "source.append", "text": "a\u2028b\u0085c "}}, ensure_ascii=False)
    with file.open("a", encoding="utf-8") as out:
        out.write(message + "\n")
    assert len(read_recording(file).lines) == len(whole.lines) + 1


APPEND, READ = {"client": append("dog ")}, {"server": {"type": "read", "seq": 1, "phi": 1, "n": 1}}
WRITE = {"type": "write", "seq": 1, "text": "x", "index": 0, "count": 1, "phi": 1}


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        ('{"at": 1e999, "left": true}', "line 2: at: "),
        ('{"at": NaN, "left": true}', "line 2: at: "),
        ('{"at": -0.5, "left": true}', "line 2: at: expected greater than or equal to 0"),
        ('{"at": 1e12, "left": true}', "line 2: at: expected less than"),
        ('{"at": ' + "[" * 200_000 + "}", "line 2: "),
        ("\n".join(json.dumps({"at": 0.1, **line}) for line in (APPEND, READ, READ)), "line 4: expected an answer to one of the 1 source"),
        ("\n".join(json.dumps({"at": 0.1, **line}) for line in (READ, APPEND)), "line 2: expected an answer to one of the 0 source"),
        *(
            (json.dumps({"at": 0.1, **APPEND}) + "\n" + json.dumps({"at": 0.1, "server": {**WRITE, "n": n}}), "line 3: expected an answer")
            for n in (0, -1, 2, 9_999_999)
        ),
    ],
)
def test_what_cannot_have_been_is_told_with_its_line(tmp_path: Path, lines: str, why: str) -> None:
    file = a_file(tmp_path)
    head = file.read_text().split("\n")[0]
    file.write_text(f"{head}\n{lines}\n")
    with pytest.raises(InvalidValueError, match="expected a recording at") as told:
        read_recording(file)
    assert why in told.value.message


@pytest.mark.parametrize("content", [b"", b"{}\n", b"\xff\n", b"[1]\n", b'{"recording": 2}\n'])
def test_what_is_no_recording_is_told(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "a.jsonl"
    file.write_bytes(content)
    with pytest.raises(InvalidValueError, match="expected a recording at"):
        read_recording(file)
    with pytest.raises(InvalidValueError, match="expected a recording at"):
        read_recording(tmp_path / "none.jsonl")


def test_what_is_heard_is_recorded_sample_by_sample(tmp_path: Path) -> None:
    with hearing(record=tmp_path) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(listen(live))
    (file,) = tmp_path.iterdir()
    recording = read_recording(file)
    assert recording.head.start.audio is not None
    assert recording.head.start.audio.rate == 16_000
    assert b"".join(base64.b64decode(line.audio) for line in recording.lines if line.audio is not None) == PCM
    assert [line.client.type for line in recording.lines if line.client is not None] == ["source.end"]
    file.write_text(file.read_text().replace('"audio": "', '"audio": "!', 2))
    with pytest.raises(InvalidValueError, match="audio"):
        read_recording(file)
