"""Golden messages and conversations: what every client is tested on is what the server means; the JSON Schema says the same."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import TypeAdapter, ValidationError

from server import wire

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "wire"
MESSAGES: list[dict[str, Any]] = json.loads((GOLDEN / "messages.json").read_text())
CONVERSATIONS: list[dict[str, Any]] = json.loads((GOLDEN / "conversations.json").read_text())
SCHEMA = json.loads((ROOT / "clients" / "protocol.schema.json").read_text())
ADAPTERS: dict[str, TypeAdapter[Any]] = {"client": wire.CLIENT, "server": wire.SERVER}
DEFINITION = {"client": "ClientMessage", "server": "ServerEvent"}


def validator(direction: str) -> Draft202012Validator:
    return Draft202012Validator({"$ref": f"#/$defs/{DEFINITION[direction]}", "$defs": SCHEMA["$defs"]})


def test_the_schema_in_the_tree_is_the_models_own() -> None:
    """`make schema` writes it."""
    assert wire.json_schema() == SCHEMA
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("golden", MESSAGES, ids=lambda golden: golden["name"])
def test_a_golden_message_means_what_it_says(golden: dict[str, Any]) -> None:
    direction, message = golden["direction"], golden["message"]
    parsed = ADAPTERS[direction].validate_json(json.dumps(message))
    dumped = json.loads(parsed.model_dump_json(exclude_unset=direction == "client"))
    assert dumped == message
    assert validator(direction).is_valid(message)


def test_every_message_of_both_directions_is_in_the_golden_file() -> None:
    for direction, definition in DEFINITION.items():
        named = {golden["message"]["type"] for golden in MESSAGES if golden["direction"] == direction}
        assert named == set(SCHEMA["$defs"][definition]["discriminator"]["mapping"])


@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation["name"])
def test_a_golden_conversation_keeps_the_protocols_promises(conversation: dict[str, Any]) -> None:
    seq = n = read = index = 0
    running = ended = False
    for frame in conversation["frames"]:
        message = frame["message"]
        assert validator(frame["from"]).is_valid(message), message
        kind = message["type"]
        if frame["from"] == "client":
            n += running and not ended and kind in ("source.append", "source.end")
            ended = ended or kind == "source.end"
            continue
        seq += 1
        assert message["seq"] == seq
        if kind == "session.started":
            running, ended, n, read, index = True, False, 0, 0, 0
        elif kind == "write":
            assert message["text"]
            assert read < message["n"] <= n
            assert message["index"] == index
            index += message["count"]
        elif kind == "read":
            read += 1
            assert message["n"] == read <= n
        elif kind == "done":
            assert (message["rco"] is not None) == (ended and message["usage"]["source_units"] > 0)
            running = False


@pytest.mark.parametrize(
    "message",
    [
        {"type": "source.append"},
        {"type": "source.append", "text": None},
        {"type": "source.append", "text": "x", "more": 1},
        {"type": "session.start", "task": "t", "max_lag": 0},
        {"type": "session.start", "task": "t", "max_lag": 1.0},
        {"type": "session.start", "task": "t", "sampling": {"temperature": -1}},
        {"type": "session.start", "task": "t", "stop": ["x"] * 9},
        {"type": "session.start", "task": "t", "include": ["everything"]},
        {"type": "session.start", "task": "t", "modality": "audio"},
        {"type": "session.start", "task": "t", "head": {"rho": 1}},
        {"type": "ping", "id": None},
        {"type": "write", "text": "x"},
        {},
    ],
)
def test_models_and_schema_refuse_the_same(message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        wire.CLIENT.validate_json(json.dumps(message))
    if message.get("max_lag") != 1.0:  # JSON Schema takes 1.0 for an integer; we take what was written
        assert not validator("client").is_valid(message)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_json_at_all_gets_anything_but_a_message_or_a_refusal(value: object) -> None:
    for text in (json.dumps(value), json.dumps({"type": "session.start", "task": value}), json.dumps({"type": value})):
        try:
            wire.CLIENT.validate_json(text)
        except ValidationError as error:
            message, _ = wire.explain(error)
            assert message
            assert len(message) < 1000
        assert wire.is_start_or_update(text) in (True, False)


@pytest.mark.parametrize("frame", ["{", "[" * 100_000, '"\\ud800"', "\x00", ""])
def test_what_is_not_json_is_no_start(frame: str) -> None:
    assert not wire.is_start_or_update(frame)
