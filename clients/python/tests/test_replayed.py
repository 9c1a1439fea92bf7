"""A session that is begun again: what was handed out is not handed out twice, and another session is not taken for it."""

import json
from typing import Any

import pytest
from proactivellm_client import DivergedError, Done, Error, Read, Write
from proactivellm_client.protocol import Protocol

from clients.python.tests.fake import STARTED

STEPS: list[dict[str, Any]] = [
    {"type": "write", "text": "Der ", "index": 0, "count": 1, "phi": 1, "n": 1},
    {"type": "read", "phi": 1, "n": 1},
    {"type": "error", "code": "unknown_tier", "message": "", "param": "tier", "n": None, "fatal": False, "retry_after": None},
    {"type": "write", "text": "Hund", "index": 1, "count": 1, "phi": 2, "n": 2},
    {"type": "read", "phi": 2, "n": 2},
]


def frame(seq: int, step: dict[str, Any]) -> str:
    return json.dumps({**step, "seq": seq})


def broken() -> Protocol:
    """After three steps."""
    protocol = Protocol(replay=True)
    protocol.sent(protocol.start("t", {}), 0)
    protocol.receive(frame(1, STARTED))
    for text in ("The ", "dog "):
        protocol.sent(protocol.append(text), protocol.n)
    assert [type(protocol.receive(frame(seq, step))) for seq, step in enumerate(STEPS[:3], 2)] == [Write, Read, Error]
    assert protocol.mendable
    assert not protocol.resumable
    return protocol


def test_what_was_handed_out_is_not_handed_out_again() -> None:
    protocol = broken()
    assert json.loads(protocol.start_again()) == {"type": "session.start", "task": "t"}
    assert not protocol.begun_again(json.dumps({"type": "going_away", "seq": 1, "seconds": 5.0}))
    assert protocol.begun_again(frame(2, STARTED))
    assert protocol.unanswered is not None
    sent = [json.loads(found)["text"] for number in (1, 2) if (found := protocol.unanswered.after(number)) is not None]
    assert sent == ["The ", "dog "]
    assert protocol.unanswered.after(3) is None
    order = [STEPS[2], STEPS[0], STEPS[1], STEPS[3], STEPS[4]]  # when a refusal is told is a matter of time
    events = [protocol.receive(frame(seq, step)) for seq, step in enumerate(order, 3)]
    assert [type(event) for event in events if event is not None] == [Write, Read]
    usage = {"prompt_tokens": 1, "source_tokens": 1, "source_units": 1, "target_tokens": 1, "probes": 1}
    done = {"type": "done", "text": "Der Hund", "reason": "end", "usage": usage, "rco": None, "ail": None}
    assert isinstance(protocol.receive(frame(8, done)), Done)
    assert not protocol.mendable


@pytest.mark.parametrize(
    "other",
    [
        {**STEPS[0], "text": "Die "},
        {**STEPS[0], "phi": 2},
        {"type": "read", "phi": 1, "n": 1},
        {
            "type": "done",
            "text": "",
            "reason": "end",
            "usage": dict.fromkeys(["prompt_tokens", "source_tokens", "source_units", "target_tokens", "probes"], 1),
            "rco": None,
            "ail": None,
        },
    ],
    ids=["text", "phi", "kind", "end"],
)
def test_one_that_goes_otherwise_is_told_and_nothing_more_is_handed_out(other: dict[str, Any]) -> None:
    protocol = broken()
    assert protocol.begun_again(frame(1, STARTED))
    for step in (other, STEPS[1]):
        with pytest.raises(DivergedError, match="to go as before"):
            protocol.receive(frame(2, step))
    assert not protocol.mendable


@pytest.mark.parametrize("field", [{"model": "another"}, {"head": "mass"}, {"threshold": 0.123}, {"unit": "ms"}])
def test_another_model_or_policy_does_not_go_on(field: dict[str, Any]) -> None:
    protocol = broken()
    with pytest.raises(DivergedError, match=next(iter(field))):
        protocol.begun_again(frame(1, {**STARTED, **field}))
    assert not protocol.mendable


def test_errors_of_the_server_are_no_reason_to_give_up_and_errors_of_the_client_are() -> None:
    for code, elsewhere in (("worker_failed", True), ("shutting_down", True), ("source_too_long", False), ("slow_reader", False)):
        protocol = broken()
        error = {"type": "error", "code": code, "message": "", "param": None, "n": None, "fatal": True, "retry_after": None}
        protocol.receive(frame(5, error))
        assert protocol.mendable == elsewhere


def test_the_next_session_has_nothing_to_do_with_the_last() -> None:
    protocol = broken()
    usage = {"prompt_tokens": 1, "source_tokens": 1, "source_units": 1, "target_tokens": 1, "probes": 1}
    protocol.receive(frame(5, {"type": "done", "text": "Der ", "reason": "end", "usage": usage, "rco": None, "ail": None}))
    protocol.sent(protocol.start("other", {}), 0)
    protocol.receive(frame(6, STARTED))
    assert json.loads(protocol.start_again())["task"] == "other"
    protocol.sent(protocol.append("x "), protocol.n)
    assert isinstance(protocol.receive(frame(7, {**STEPS[0], "text": "Das "})), Write)
