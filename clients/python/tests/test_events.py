"""Every golden server message arrives with every field; what is new or broken is told apart."""

import json
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from proactivellm_client import ClientError, NoCapacityError, ProtocolError, ServerError, UnknownEvent
from proactivellm_client.events import Error, parse

from clients.python.tests.fake import MESSAGES

SERVER = [golden for golden in MESSAGES if golden["direction"] == "server"]


@pytest.mark.parametrize("golden", SERVER, ids=lambda golden: golden["name"])
def test_every_field_of_a_golden_message_arrives(golden: dict[str, Any]) -> None:
    message = golden["message"]
    assert {"type": message["type"], **asdict(parse(json.dumps(message)))} == message


@pytest.mark.parametrize("golden", SERVER, ids=lambda golden: golden["name"])
def test_a_newer_servers_fields_are_left_out(golden: dict[str, Any]) -> None:
    message = golden["message"]
    more = {**message, "new": {"deep": [1]}}
    assert parse(json.dumps(more)) == parse(json.dumps(message))


def test_a_newer_servers_event_is_handed_out_as_it_came() -> None:
    event = parse('{"type": "news", "seq": 3, "seconds": 5}')
    assert isinstance(event, UnknownEvent)
    assert (event.seq, event.type, event.raw["seconds"]) == (3, "news", 5)


@given(st.text())
def test_anything_else_is_a_protocol_error(frame: str) -> None:
    with pytest.raises(ProtocolError):
        parse(frame)


@pytest.mark.parametrize("frame", ['{"type": "read", "seq": 1}', '{"seq": 1}', "[]", '{"type": 5, "seq": 1}', "[" * 100_000])
def test_events_with_missing_fields(frame: str) -> None:
    with pytest.raises(ProtocolError):
        parse(frame)


@pytest.mark.parametrize(
    "frame",
    [
        '{"type": "done", "seq": 1, "text": "", "reason": "end", "usage": 5, "rco": null, "ail": null}',
        '{"type": "write", "seq": 1, "text": 5, "index": 0, "count": 1, "phi": 1, "n": 1}',
        '{"type": "read", "seq": true, "phi": 1, "n": 1}',
    ],
)
def test_fields_of_another_type(frame: str) -> None:
    with pytest.raises(ProtocolError):
        parse(frame)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda part: st.lists(part) | st.dictionaries(st.text(), part),
    max_leaves=4,
)


@given(golden=st.sampled_from(SERVER), data=st.data())
def test_a_field_arrives_as_it_was_sent_or_the_frame_is_refused(golden: dict[str, Any], data: st.DataObject) -> None:
    field = data.draw(st.sampled_from(sorted(golden["message"].keys() - {"type"})))
    message = {**golden["message"], field: data.draw(JSON)}
    try:
        event = parse(json.dumps(message))
    except ProtocolError:
        return
    got, hint = getattr(event, field), type(getattr(parse(json.dumps(golden["message"])), field))
    assert got == message[field]
    assert got is None or isinstance(got, float | int | str)
    assert hint is type(None) or got is None or type(got) in ({int, float} if hint in (int, float) else {hint, int})


@pytest.mark.parametrize(("code", "kind"), [("no_capacity", NoCapacityError), ("not_ready", NoCapacityError), ("bad_message", ServerError)])
def test_errors_become_exceptions_of_their_kind(code: str, kind: type[ClientError]) -> None:
    error = Error(seq=1, code=code, message="m", fatal=True, param="p", retry_after=1.5).as_exception()
    assert type(error) is kind
    assert (error.code, error.param, error.retry_after, str(error)) == (code, "p", 1.5, f"{code}: m")
