"""What a tick tells of itself: sessions, tokens, and every decision exactly once, forced writes apart from the head's."""

from collections import Counter

import pytest

from engine.actions import Append, Decision, End
from engine.controller import Candidate, Controller, Phase, Rules
from engine.engine import Engine
from engine.request import Request
from tests import tiny

WORD = Candidate(ends=False, begins_word=True)


def ticks(engine: Engine, *requests: Request) -> tuple[Counter[tuple[str, str]], Counter[str]]:
    """Decisions by head as ticks tell them, and by action as sessions do."""
    told: Counter[tuple[str, str]] = Counter()
    emitted: Counter[str] = Counter()
    for request in requests:
        session = engine.open(request)
        for message in (Append("a "), Append("b "), Append("c "), End()):
            session.send(message)
    while engine.busy:
        events = engine.step()
        assert 1 <= engine.last_tick.sessions <= len(requests)
        assert engine.last_tick.tokens <= engine.scheduler.budget
        told.update(engine.last_tick.decisions)
        emitted.update(event.action for _, event in events if isinstance(event, Decision))
    return told, emitted


def test_every_decision_is_told_once() -> None:
    requests = [
        Request("echo", threshold=0.4, decisions=True),
        Request("echo", head="wait_k", threshold=1.0, decisions=True),
        Request("echo", head="full", decisions=True, max_output_tokens=2),
    ]
    told, emitted = ticks(tiny.engine(), *requests)
    by_action = Counter[str]()
    for (_, verdict), count in told.items():
        by_action["read" if verdict == "read" else "write"] += count
    assert by_action == emitted
    assert {verdict for head, verdict in told if head == "full"} == {"read", "forced_write"}
    assert told["wait_k", "write"] > 0


@pytest.mark.parametrize(
    ("rules", "score", "verdict"),
    [
        (Rules(9), 0.9, "write"),
        (Rules(9), 0.1, "read"),
        (Rules(9, max_lag=1), 0.1, "forced_write"),
        (Rules(9, max_writes_per_read=0), 0.9, "read"),
    ],
)
def test_the_verdict_says_who_decided(rules: Rules, score: float, verdict: str) -> None:
    control = Controller(rules, 0.5)
    control.release(1)
    assert control.phase is Phase.DECIDING
    control.decide(score, WORD)
    assert control.verdict == verdict


def test_a_begun_word_is_finished_by_a_write_that_nothing_forced() -> None:
    control = Controller(Rules(9, gate="word"), 0.5)
    control.release(1)
    control.decide(0.9, WORD)
    control.decide(0.0, Candidate(ends=False, begins_word=False))
    assert control.verdict == "write"
