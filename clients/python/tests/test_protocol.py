"""The state of a connection without a socket, on the golden conversations and on what must never come."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proactivellm_client import Done, ProtocolError, ServerError, UnsendableError
from proactivellm_client.events import parse
from proactivellm_client.protocol import Protocol, websocket_url

from clients.python.tests.fake import CONVERSATIONS, MESSAGES, STARTED, done, s


def send(protocol: Protocol, message: dict[str, Any]) -> str:  # noqa: PLR0911 (one a message)
    """The frame that the client would send for a golden message."""
    fields = {key: value for key, value in message.items() if key != "type"}
    if "include" in fields:
        fields["include_decisions"] = bool(fields.pop("include"))
    match message["type"]:
        case "session.start":
            return protocol.start(fields.pop("task"), fields)  # type: ignore[arg-type]  # fields by name
        case "source.append":
            return protocol.append(**fields)
        case "source.end":
            return protocol.end()
        case "session.update":
            return protocol.update(fields.get("tier"), fields.get("threshold"))
        case "session.cancel":
            return protocol.cancel()
        case "session.resume":
            protocol.started = parse(json.dumps({**STARTED, "resume_token": fields["resume_token"]}))  # type: ignore[assignment]
            protocol.seq = fields["last_seq"]
            return protocol.resume()
    return protocol.ping(**fields)


@pytest.mark.parametrize("golden", [g for g in MESSAGES if g["direction"] == "client"], ids=lambda golden: golden["name"])
def test_frames_are_the_golden_messages(golden: dict[str, Any]) -> None:
    protocol = Protocol()
    if golden["message"]["type"].startswith("source"):
        protocol.start("t", {})
        protocol.receive(json.dumps(STARTED))
    assert json.loads(send(protocol, golden["message"])) == golden["message"]


# The golden conversation in which a client misbehaves: this one refuses to.
POLITE = [c for c in CONVERSATIONS if c["name"] != "source after its end"]


@pytest.mark.parametrize("conversation", POLITE, ids=lambda conversation: conversation["name"])
def test_golden_conversations_are_understood(conversation: dict[str, Any]) -> None:
    protocol = Protocol()
    texts: list[str] = []
    for frame in conversation["frames"]:
        message = frame["message"]
        if frame["from"] == "client":
            assert json.loads(send(protocol, message)) == message
            continue
        event = protocol.receive(json.dumps(message))
        if message["type"] == "write":
            texts.append(message["text"])
        if isinstance(event, Done):
            assert "".join(texts) == event.text
            texts = []
    last = conversation["frames"][-1]["message"]
    assert protocol.state == ("done" if last["type"] == "done" else "starting")


def running() -> Protocol:
    protocol = Protocol()
    protocol.start("t", {})
    protocol.receive(json.dumps(STARTED))
    return protocol


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (s("read", 3, phi=1, n=1), "events were lost"),
        (s("read", 2, phi=1, n=1), "answer to source message"),
        (s("write", 2, text="", index=0, count=1, phi=1, n=1), "expected text"),
        (s("write", 2, text="x", index=1, count=1, phi=1, n=1), "from token 0"),
        ({"message": {**STARTED, "seq": 2}}, "SessionStarted while running"),
    ],
)
def test_what_cannot_come_now_is_a_protocol_error(frame: dict[str, Any], why: str) -> None:
    with pytest.raises(ProtocolError, match=why):
        running().receive(json.dumps(frame["message"]))


def test_a_read_that_answers_out_of_order_is_a_protocol_error() -> None:
    protocol = running()
    protocol.append("a ")
    protocol.append("b ")
    with pytest.raises(ProtocolError, match="answer to source message 1"):
        protocol.receive(json.dumps(s("read", 2, phi=1, n=2)["message"]))


def answers(writes: list[list[int]]) -> list[str]:
    """What a server sends to as many appends, each answered by writes of so many tokens, and to the end."""
    messages, index = [STARTED], 0
    for n, counts in enumerate(writes, 1):
        for count in counts:
            messages.append(s("write", len(messages) + 1, text="x", index=index, count=count, phi=n, n=n)["message"])
            index += count
        messages.append(s("read", len(messages) + 1, phi=n, n=n)["message"])
    messages.append(done(len(messages) + 1)["message"])
    return [json.dumps(message) for message in messages]


@given(writes=st.lists(st.lists(st.integers(0, 3), max_size=3), max_size=4), data=st.data())
def test_a_whole_session_is_understood_and_one_with_a_lost_event_is_not(writes: list[list[int]], data: st.DataObject) -> None:
    frames = answers(writes)
    lost = data.draw(st.integers(0, len(frames) - 1))

    def play(received: list[str]) -> Protocol:
        protocol = Protocol()
        protocol.start("t", {})
        for number, frame in enumerate(received):
            protocol.receive(frame)
            if number == 0:
                for _ in writes:
                    protocol.append("x ")
                protocol.end()
        return protocol

    whole = play(frames)
    assert (whole.state, whole.n, whole.answered) == ("done", len(writes) + 1, len(writes))
    if lost == len(frames) - 1:
        assert play(frames[:-1]).state == "running"
    else:
        with pytest.raises(ProtocolError, match="events were lost"):
            play(frames[:lost] + frames[lost + 1 :])


def test_nothing_comes_for_a_session_that_is_done() -> None:
    protocol = running()
    protocol.end()
    protocol.receive(json.dumps(done(2)["message"]))
    with pytest.raises(ProtocolError, match="while done"):
        protocol.receive(json.dumps(s("read", 3, phi=1, n=1)["message"]))


def test_binary_frames_are_refused() -> None:
    with pytest.raises(ProtocolError, match="binary"):
        running().receive(b"x")


def test_misuse_is_told_before_it_reaches_the_server() -> None:
    with pytest.raises(ProtocolError, match="before that"):
        Protocol().append("x")
    protocol = running()
    with pytest.raises(ProtocolError, match="second start"):
        protocol.start("t", {})
    with pytest.raises(ProtocolError, match="both or neither"):
        protocol.update(None, None)
    protocol.end()
    with pytest.raises(ProtocolError, match="after end"):
        protocol.append("x")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://h:1", "ws://h:1/v1/stream"),
        ("http://h:1/", "ws://h:1/v1/stream"),
        ("https://h", "wss://h/v1/stream"),
        ("wss://h/proxy/v1/stream?k=v", "wss://h/proxy/v1/stream?k=v"),
    ],
)
def test_urls(url: str, expected: str) -> None:
    assert websocket_url(url) == expected


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://h", "ws://", "ws://:1", "ws://h:abc", "ws://h:99999", "ws://[::1", ""])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ProtocolError, match="expected a URL"):
        websocket_url(url)


@pytest.mark.parametrize("text", ["half a pair \ud800", "x" * 70_000, "世" * 22_000], ids=["surrogate", "long", "long in UTF-8"])
def test_a_text_that_cannot_be_sent_is_refused_and_not_counted(text: str) -> None:
    protocol = running()
    with pytest.raises(UnsendableError):
        protocol.append(text)
    protocol.append("a ")
    assert protocol.n == 1
    protocol.receive(json.dumps(s("read", 2, phi=1, n=1)["message"]))


def test_the_longest_text_that_the_server_takes_can_be_sent() -> None:
    protocol = running()
    limit = STARTED["limits"]["max_message_bytes"]
    room = limit - len(protocol.append("").encode())
    assert len(protocol.append("x" * room).encode()) == limit
    with pytest.raises(UnsendableError, match=f"at most {limit} bytes, got one of {limit + 1}"):
        protocol.append("x" * (room + 1))


def test_text_goes_out_as_it_is() -> None:
    assert "世界" in running().append("世界")


@pytest.mark.parametrize("options", [{"threshold": float("nan")}, {"instruction": "\udfff"}])
def test_a_start_that_cannot_be_sent_leaves_the_connection_for_another(options: Any) -> None:
    protocol = Protocol()
    with pytest.raises(UnsendableError):
        protocol.start("t", options)
    protocol.start("t", {})
    assert protocol.state == "starting"


# ---- a connection that broke


def test_only_a_running_session_with_a_token_is_resumed_and_only_if_asked() -> None:
    token = json.dumps({**STARTED, "resume_token": "x"})
    for resume, started, resumable in ((True, token, True), (False, token, False), (True, json.dumps(STARTED), False)):
        protocol = Protocol(resume=resume)
        protocol.start("t", {})
        assert not protocol.resumable
        protocol.receive(started)
        assert protocol.resumable == resumable
        protocol.receive(json.dumps(done(2)["message"]))
        assert not protocol.resumable


def test_the_answer_to_a_resume_is_none_of_the_events() -> None:
    protocol = running()
    assert protocol.resumed(json.dumps({"type": "session.resumed", "seq": 9, "n": 2, "frames": 4})) == 4
    assert protocol.seq == 1
    with pytest.raises(ServerError, match="unknown_session"):
        protocol.resumed(json.dumps({"type": "error", "seq": 1, "code": "unknown_session", "message": "gone", "fatal": False}))
    for other in (json.dumps(done(2)["message"]), b""):
        with pytest.raises(ProtocolError, match="expected session"):
            protocol.resumed(other)


def test_what_came_before_is_passed_over_where_sessions_are_resumed() -> None:
    protocol = Protocol(resume=True)
    protocol.start("t", {})
    protocol.receive(json.dumps(STARTED))
    assert protocol.receive(json.dumps(STARTED)) is None
    with pytest.raises(ProtocolError, match="lost"):
        protocol.receive(json.dumps(done(3)["message"]))
