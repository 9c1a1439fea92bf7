"""Clients of `/v1/transcribe` that take nothing, servers that leave, and what nobody foresaw: each is told, and no slot is lost."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import soundfile
from structlog.testing import capture_logs

from server import file_session
from server.sound_file import SoundFile
from tests.server.hearing import SLOTS, hearing, sound_file
from tests.server.keyed import ask
from tests.server.live import Live, wait_until
from tests.server.taking import Deaf, upload
from tests.server.test_transcribe import events, post

POST = upload(sound_file(seconds=7), "task=listen&threshold=0.33&silence_gate=false")  # more messages than may be ahead of a client


@contextmanager
def running(**settings: Any) -> Iterator[Live]:
    with hearing(send_buffer=4096, **settings) as live:
        wait_until(lambda: live.worker.ready)
        yield live
        wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS, 20)
        wait_until(lambda: not live.server.server_state.connections, 20)


def streaming(live: Live) -> Deaf:
    """A client that takes nothing, with its session in the middle of its file."""

    def reads() -> float:
        return live.app_metric("proactivellm_reads_total", {"model": "hearing"})

    before = reads()
    client = Deaf(live, POST)
    wait_until(lambda: reads() > before)
    return client


@pytest.mark.parametrize(
    ("code", "settings"),
    [("slow_reader", {"stalled_seconds": 0.5}), ("session_too_long", {"session_seconds": 1.0})],
)
def test_a_client_that_takes_nothing_loses_its_slot_and_its_connection(code: str, settings: dict[str, float]) -> None:
    with running(**settings) as live:
        client = streaming(live)
        wait_until(lambda: live.error_count(code) == 1, 20)
        wait_until(lambda: not live.server.server_state.connections, 20)
        client.close()


@pytest.mark.parametrize(
    ("code", "settings"),
    [("slow_reader", {"stalled_seconds": 0.5}), ("session_too_long", {"session_seconds": 1.0})],
)
def test_a_client_that_takes_events_too_late_is_told(monkeypatch: pytest.MonkeyPatch, code: str, settings: dict[str, float]) -> None:
    monkeypatch.setattr(file_session, "TELL_SECONDS", 20.0)
    with running(**settings) as live:
        client = streaming(live)
        wait_until(lambda: live.error_count(code) == 1, 20)
        wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS, 20)  # before it takes a byte
        last = client.events()[-1]
        assert (last["type"], last["code"], last["fatal"]) == ("error", code, True)
        client.close()


def test_a_file_that_is_being_read_when_the_server_stops_is_told_and_finished() -> None:
    with running() as live:
        client = streaming(live)
        assert live.worker._loop is not None
        draining = asyncio.run_coroutine_threadsafe(live.app.state.drain(lambda: False), live.worker._loop)
        wait_until(lambda: ask(live, "/readyz")[0] == 503)
        assert not draining.done()
        refused = post(live, sound_file())
        assert (refused.status_code, refused.json()["code"]) == (503, "shutting_down")
        found = client.events()
        assert [event["type"] for event in found if event["type"] != "write"] == ["session.started", "going_away", "done"]
        draining.result(20)
        client.close()


def test_a_file_that_takes_longer_than_the_server_waits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_session, "TELL_SECONDS", 20.0)
    with running() as live:
        client = streaming(live)
        assert live.worker._loop is not None
        leaving = asyncio.run_coroutine_threadsafe(live.app.state.leave(), live.worker._loop)
        wait_until(lambda: live.error_count("shutting_down") == 1, 20)
        assert not leaving.done()
        assert client.events()[-1]["code"] == "shutting_down"
        leaving.result(20)
        client.close()


@pytest.mark.parametrize("where", ["file", "event"])
def test_what_nobody_foresaw_ends_with_an_error(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def fails(*_: object) -> bytes:
        raise KeyError("a mistake of ours")

    if where == "file":
        monkeypatch.setattr(SoundFile, "read", fails)
    else:
        monkeypatch.setattr(file_session, "to_wire", fails)
    with running() as live, capture_logs() as logs:
        *_, last = events(post(live, sound_file()))
        assert (last["type"], last["code"], last["fatal"]) == ("error", "internal", True)
        assert "mistake" not in last["message"]
        wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS, 20)
        assert live.error_count("internal") == 1
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["session.failed"]


def test_a_file_that_is_still_being_read_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client leaves while a thread is at it; others are answered meanwhile."""
    reading, goes_on = threading.Event(), threading.Event()
    closed = threading.Event()
    read, close = soundfile.SoundFile.read, SoundFile.close

    def slow(self: soundfile.SoundFile, *args: Any, **named: Any) -> Any:
        reading.set()
        goes_on.wait(20)
        return read(self, *args, **named)

    def closing(self: SoundFile) -> None:
        close(self)
        closed.set()

    monkeypatch.setattr(soundfile.SoundFile, "read", slow)
    monkeypatch.setattr(SoundFile, "close", closing)
    with running() as live:
        client = Deaf(live, POST)
        assert reading.wait(20)
        client.close()
        wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS, 10)
        try:
            assert ask(live, "/healthz")[0] == 200
            assert not closed.is_set()
        finally:
            goes_on.set()
        assert closed.wait(20)


@pytest.mark.parametrize("limit", ["slots", "sessions"])
def test_without_room_a_file_is_refused_before_it_comes(monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    settings = {"max_sessions": 1} if limit == "sessions" else {}
    goes_on = threading.Event()
    read = soundfile.SoundFile.read

    def waits(self: soundfile.SoundFile, *args: Any, **named: Any) -> Any:
        goes_on.wait(20)
        return read(self, *args, **named)

    monkeypatch.setattr(soundfile.SoundFile, "read", waits)
    with running(**settings) as live:
        taken = 1 if settings else SLOTS
        clients = [Deaf(live, POST) for _ in range(taken)]
        try:
            wait_until(lambda: live.worker.engines["hearing"].free_slots == SLOTS - taken)
            status, told, headers = ask(live, "/v1/transcribe?task=listen", method="POST", content_length="1000000")
        finally:
            goes_on.set()
        assert (status, told["code"]) == (503, "no_capacity")
        assert int(headers["retry-after"]) >= 1
        for client in clients:
            assert client.events()[-1]["type"] == "done"
            client.close()


def test_a_slow_upload_holds_no_slot() -> None:
    with running() as live:
        clients = [Deaf(live, POST[:-1000]) for _ in range(SLOTS)]
        assert events(post(live, sound_file()))[-1]["type"] == "done"
        assert live.worker.engines["hearing"].free_slots == SLOTS
        for client in clients:
            client.close()
