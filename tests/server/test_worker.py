"""What the worker hands over to the loop: each outcome to its own session, whatever the others do with theirs."""

import threading
import time

import pytest

from engine.actions import Read
from server.handle import Handle, Outcome
from server.worker import _hand_out
from tests.server.live import Live, wait_until


def test_what_fails_for_one_session_does_not_cost_another_its_events() -> None:
    def broken(_: Outcome) -> None:
        raise IndexError("pop from an empty deque")

    got: list[Outcome] = []
    _hand_out([(Handle(broken), Read(1, 1)), (Handle(got.append), Read(2, 1)), (Handle(got.append), Read(3, 2))])
    assert got == [Read(2, 1), Read(3, 2)]


def test_a_device_that_hangs_does_not_keep_the_server_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.worker.STOP_SECONDS", 0.2)
    hang = threading.Event()
    with Live() as live:
        wait_until(lambda: live.worker.ready)
        live.worker._commands.put(lambda: hang.wait(60))
        start = time.monotonic()
    assert time.monotonic() - start < 30
    assert live.worker.failed is not None  # `serve` ends with 1
    hang.set()
