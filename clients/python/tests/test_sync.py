"""The blocking client against a scripted server."""

import threading

import pytest
from proactivellm_client import ClosedError, ConnectError, NoCapacityError
from proactivellm_client.sync import connect

from clients.python.tests.fake import BEGUN, START, c, done, playing_in_a_thread, s

SCRIPT = [
    START,
    BEGUN,
    c("source.append", text="a "),
    s("write", 2, text="A", index=0, count=1, phi=1, n=1),
    s("read", 3, phi=1, n=1),
    c("session.update", threshold=0.5),
    s("session.updated", 4, threshold=0.5, from_index=1),
    c("source.end"),
    done(5, "A"),
]


def test_a_session_from_start_to_done() -> None:
    with playing_in_a_thread(SCRIPT) as fake, connect(fake.url).session("t") as session:
        assert [write.text for write in session.exchange("a ")] == ["A"]
        session.update(threshold=0.5)
        session.end()
        assert [type(event).__name__ for event in session] == ["SessionUpdated", "Done"]
        assert session.started.head == "entropy"


def test_one_thread_sends_while_another_iterates_and_a_third_pings() -> None:
    script = [START, BEGUN, c("ping", id=1), s("pong", 2, id=1), c("source.end"), done(3, "x")]
    with playing_in_a_thread(script) as fake, connect(fake.url).session("t") as session:
        texts: list[str] = []
        reader = threading.Thread(target=lambda: texts.append(session.text()))
        reader.start()
        assert session.ping() > 0
        session.end()
        reader.join(10)
        assert texts == ["x"]


def test_two_sessions_on_one_connection() -> None:
    again = {"from": "server", "message": {**BEGUN["message"], "seq": 3}}
    script = [START, BEGUN, c("session.cancel"), done(2, reason="cancelled"), START, again, c("source.end"), done(4)]
    with playing_in_a_thread(script) as fake, connect(fake.url) as client:
        with client.session("t"):
            pass
        with client.session("t") as session:
            session.end()
            assert session.text() == ""


def test_refusal_close_and_nobody_there() -> None:
    refusal = s("error", 1, code="no_capacity", message="full", param=None, n=None, fatal=True, retry_after=2.0)
    with playing_in_a_thread([START, refusal], close=1013) as fake, pytest.raises(NoCapacityError), connect(fake.url).session("t"):
        pytest.fail("it was refused")
    with playing_in_a_thread([START, BEGUN], close=1012) as fake, connect(fake.url).session("t") as session:
        with pytest.raises(ClosedError) as closed:
            session.text()
        assert closed.value.code == 1012
    with pytest.raises(ConnectError), connect("ws://127.0.0.1:9").session("t"):
        pytest.fail("nobody is there")
