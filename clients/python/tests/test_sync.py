"""The blocking client against a scripted server."""

import threading
import time

import pytest
from proactivellm_client import ClosedError, ConnectError, NoCapacityError, ProtocolError, ServerError
from proactivellm_client.sync import Session, connect

from clients.python.tests.fake import BEGUN, START, begun, c, done, playing_in_a_thread, s

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
    script = [START, BEGUN, c("session.cancel"), done(2, reason="cancelled"), START, begun(3), c("source.end"), done(4)]
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


def test_a_fatal_error_is_raised_by_iterating_and_by_sending_afterwards() -> None:
    fatal = s("error", 2, code="too_large", message="m", param=None, n=None, fatal=True, retry_after=None)
    with playing_in_a_thread([START, BEGUN, fatal], close=4413) as fake, connect(fake.url).session("t") as session:
        with pytest.raises(ServerError, match="too_large"):
            session.text()
        with pytest.raises(ServerError, match="too_large"):
            session.exchange("a ")


def send_for_ever(session: Session) -> None:
    while True:
        session.send("a ")
        time.sleep(0.001)  # a flood would fill the fake server's buffers, which then waits 10 s for the close


def test_a_sender_learns_why_while_another_thread_waits_for_events() -> None:
    fatal = s("error", 2, code="too_large", message="m", param=None, n=None, fatal=True, retry_after=None)
    script = [START, BEGUN, c("source.append", text="a "), fatal]
    with playing_in_a_thread(script, close=4413) as fake, connect(fake.url).session("t") as session:
        why: list[str] = []

        def read() -> None:
            with pytest.raises(ServerError) as failed:
                session.text()
            why.append(failed.value.code)

        reader = threading.Thread(target=read)
        reader.start()
        with pytest.raises(ServerError, match="too_large"):
            send_for_ever(session)
        reader.join(10)
        assert why == ["too_large"]


def test_lost_events_and_events_of_a_newer_server() -> None:
    script = [START, s("queued", 1), begun(2), s("news", 3), done(5)]
    with playing_in_a_thread(script) as fake, connect(fake.url).session("t") as session:
        assert type(next(session)).__name__ == "UnknownEvent"
        with pytest.raises(ProtocolError, match="lost"):
            session.text()


def test_leaving_a_shared_connection_while_another_thread_iterates() -> None:
    script = [START, BEGUN, c("session.cancel"), done(2, "x", reason="cancelled"), START, begun(3), c("source.end"), done(4)]
    with playing_in_a_thread(script) as fake, connect(fake.url) as client:
        texts: list[str] = []
        with client.session("t") as first:
            reader = threading.Thread(target=lambda: texts.append(first.text()))
            reader.start()
        reader.join(10)
        assert texts == ["x"]
        with client.session("t") as second:
            first.send("late ")
            second.end()
            assert second.text() == ""
            assert list(first) == []


def test_who_sends_for_long_before_reading_still_answers_keepalive_pings() -> None:
    script = [START, BEGUN]
    for n in range(1, 41):  # more than websockets holds by itself
        script += [c("source.append", text="a "), s("read", n + 1, phi=n, n=n)]
    script += [c("source.end"), done(42)]
    impatient = {"ping_interval": 0.1, "ping_timeout": 0.3}
    with playing_in_a_thread(script) as fake, connect(fake.url, **impatient).session("t") as session:
        for _ in range(40):
            session.send("a ")
        time.sleep(0.8)
        session.end()
        assert session.text() == ""
