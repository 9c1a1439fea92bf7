"""The controller against a model of it: hypothesis drives every order of messages and scores."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from engine.controller import SPARE, Candidate, Controller, Phase, Rules
from errors import BadStateError

WORD, REST, END = Candidate(False, True), Candidate(False, False), Candidate(True, False)
caps = st.none() | st.integers(1, 4)
rules = st.builds(
    Rules,
    max_output_tokens=st.integers(1, 6),
    gate=st.sampled_from(["token", "word"]),
    forbid_end_before_source_end=st.booleans(),
    max_lag=caps,
    max_reads=caps,
    max_writes_per_read=caps,
)


class ControllerMachine(RuleBasedStateMachine):
    """Keeps the history of what happened, and derives from it what must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.released = 0
        self.log: list[str] = []
        self.made = False

    @precondition(lambda self: not self.made)
    @rule(rules=rules, threshold=st.floats(0, 1))
    def start(self, rules: Rules, threshold: float) -> None:
        self.control, self.made = Controller(rules, threshold), True
        self.seen: list[int] = []

    def _phase(self) -> Phase | None:
        return self.control.phase if self.made else None

    @precondition(lambda self: self._phase() is Phase.READING)
    @rule(units=st.integers(0, 3))
    def release(self, units: int) -> None:
        assert self.control.release(units) == (units > 0)
        self.released += units
        assert self.control.phase is (Phase.DECIDING if units else Phase.READING)

    @precondition(lambda self: self._phase() is Phase.READING)
    @rule(units=st.integers(0, 2))
    def end_source(self, units: int) -> None:
        self.control.end_source(units)
        self.released += units
        assert self.control.phase is Phase.DECIDING

    @precondition(lambda self: self._phase() is Phase.DECIDING)
    @rule(score=st.floats(-1, 2), candidate=st.sampled_from([WORD, REST, END]))
    def decide(self, score: float, candidate: Candidate) -> None:
        if self.control.closing is not None:
            return self._decide_at_a_seam(candidate)
        return self._decide(score, candidate)

    def _decide_at_a_seam(self, candidate: Candidate) -> None:
        control, left = self.control, self.control.closing
        assert left is not None
        assert control.must_write
        assert control.may_end
        action, asked = control.decide(None, candidate)
        assert (action, asked) == ("read" if candidate.ends else "write", None)
        self.log.append(action)
        if action == "write":
            self.seen.append(self.released)
        if control.phase is not Phase.DONE:
            assert control.closing == (None if candidate.ends or left == 1 else left - 1)
            assert control.phase is (Phase.READING if control.closing is None else Phase.DECIDING)

    @precondition(lambda self: self._phase() in (Phase.READING, Phase.DECIDING) and not self.control.source_ended)
    @rule(limit=st.integers(1, 4))
    def close(self, limit: int) -> None:
        self.control.close(limit)
        assert self.control.phase is Phase.DECIDING

    def _decide(self, score: float, candidate: Candidate) -> None:
        control, caps = self.control, self.control.rules
        ended, lag = control.source_ended, control.lag
        reads = _run(self.log, "read")
        action, asked = control.decide(score, candidate)
        if ended:
            assert (action, asked) == ("write", None)
        elif action == "write" and asked is None:
            assert (
                (caps.max_lag is not None and lag >= caps.max_lag)
                or (caps.max_reads is not None and reads >= caps.max_reads)
                or (caps.gate == "word" and not candidate.begins_word and bool(self.seen))
            )
        elif action == "read" and asked is None:
            barred = candidate.ends and caps.forbid_end_before_source_end
            assert barred or (caps.max_writes_per_read is not None and _run(self.log, "write") >= caps.max_writes_per_read)
        else:
            assert asked == score
            assert action == ("write" if score >= control.threshold else "read")
        self.log.append(action)
        if action == "read":
            assert control.phase is Phase.READING
        elif candidate.ends:
            assert control.reason == "end"
        else:
            self.seen.append(self.released)
            assert (control.reason == "length") == (len(self.seen) == caps.max_output_tokens)

    @precondition(lambda self: self._phase() is not None)
    @rule(reason=st.sampled_from(["cancelled", "context", "stop", "error"]))
    def finish(self, reason: str) -> None:
        before = self.control.reason
        self.control.finish(reason)  # type: ignore[arg-type]  # sampled from the literals
        assert self.control.phase is Phase.DONE
        assert self.control.reason == (before or reason)

    @precondition(lambda self: self._phase() in (Phase.READING, Phase.DONE))
    @rule()
    def no_decision_without_a_probe(self) -> None:
        with pytest.raises(BadStateError):
            self.control.decide(1.0, WORD)

    @precondition(lambda self: self._phase() in (Phase.DECIDING, Phase.DONE))
    @rule()
    def no_source_at_an_open_decision_or_after_the_end(self) -> None:
        with pytest.raises(BadStateError):
            self.control.release(1)

    @invariant()
    def phi_never_falls_and_is_what_was_released(self) -> None:
        if self.made:
            assert self.control.phi == self.released
            assert self.control.trajectory == self.seen
            assert self.seen == sorted(self.seen)
            assert len(self.seen) <= self.control.rules.max_output_tokens
            assert (self.control.reason is not None) == (self.control.phase is Phase.DONE)


def _run(log: list[str], action: str) -> int:
    """How often `action` was taken at the end of the log."""
    return next((n for n, taken in enumerate(reversed(log)) if taken != action), len(log))


TestController = ControllerMachine.TestCase
TestController.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


def deciding(**changes: object) -> Controller:
    control = Controller(Rules(**{"max_output_tokens": 10, **changes}), threshold=0.5)  # type: ignore[arg-type]  # fields by name
    control.release(1)
    return control


@given(score=st.floats(allow_nan=False))
def test_write_exactly_from_the_threshold_on(score: float) -> None:
    assert deciding().decide(score, WORD)[0] == ("write" if score >= 0.5 else "read")


@pytest.mark.parametrize(("threshold", "action"), [(inf, "read"), (-inf, "write")])
def test_thresholds_at_both_ends(threshold: float, action: str) -> None:
    control = deciding()
    control.threshold = threshold
    assert control.decide(0.0, WORD)[0] == action


def test_the_source_end_writes_whatever_the_score() -> None:
    control = Controller(Rules(max_output_tokens=10), threshold=inf)
    control.end_source()
    assert [control.decide(None, WORD)[0], control.decide(-inf, END)[0]] == ["write", "write"]
    assert control.reason == "end"


def test_a_begun_word_is_finished_without_reading() -> None:
    control = deciding(gate="word")
    assert control.decide(1.0, WORD) == ("write", 1.0)
    assert control.decide(0.0, REST) == ("write", None)
    assert control.decide(0.0, WORD) == ("read", 0.0)
    assert control.words == 1


def test_the_first_token_is_gated_even_if_it_begins_no_word() -> None:
    assert deciding(gate="word").decide(0.0, REST) == ("read", 0.0)


def test_a_forbidden_end_reads_on() -> None:
    control = deciding(forbid_end_before_source_end=True)
    assert control.decide(1.0, END) == ("read", None)
    control.end_source()
    assert control.decide(None, END) == ("write", None)


def test_max_lag_forces_a_write() -> None:
    control = deciding(max_lag=3)
    assert control.decide(0.0, WORD)[0] == "read"
    control.release(2)
    assert control.decide(0.0, WORD) == ("write", None)
    assert control.decide(0.0, WORD)[0] == "read"


def test_max_reads_and_max_writes_per_read() -> None:
    control = deciding(max_reads=1, max_writes_per_read=1)
    assert control.decide(0.0, WORD)[0] == "read"
    control.release(1)
    assert control.decide(0.0, WORD) == ("write", None)
    assert control.decide(1.0, WORD) == ("read", None)


def far_ahead() -> Controller:
    """As many tokens written as the one unit that was heard may have."""
    control = deciding(max_output_tokens=100, max_output_rate=2.0)
    for _ in range(SPARE + 2):
        assert control.decide(1.0, WORD)[0] == "write"
    return control


def test_a_target_that_outruns_its_source_waits_for_more_of_it() -> None:
    control = far_ahead()
    assert control.decide(1.0, WORD) == ("read", None)
    control.release(1)
    assert [control.decide(1.0, WORD)[0] for _ in range(3)] == ["write", "write", "read"]


def test_a_target_that_outruns_its_source_may_end() -> None:
    assert far_ahead().decide(1.0, END) == ("write", 1.0)


def test_behind_the_source_end_it_ends_there() -> None:
    control = far_ahead()
    assert control.decide(1.0, WORD)[0] == "read"
    control.end_source()
    assert control.decide(None, WORD)[0] == "write"
    assert control.reason == "length"


def test_how_long_it_gets_is_a_matter_of_the_source_and_not_of_when_it_was_written() -> None:
    control = Controller(Rules(max_output_tokens=100, max_output_rate=2.0), threshold=0.5)
    control.end_source(1)
    for _ in range(SPARE + 3):
        assert control.reason is None
        assert control.decide(None, WORD)[0] == "write"
    assert control.reason == "length"


def test_behind_a_seam_the_source_before_it_does_not_count() -> None:
    control = Controller(Rules(max_output_tokens=2000, max_output_rate=2.0), threshold=0.5)
    control.release(500)
    control.decide(0.0, WORD)
    control.begin_again(500)
    control.release(1)
    assert [control.decide(1.0, WORD)[0] for _ in range(SPARE + 3)] == ["write"] * (SPARE + 2) + ["read"]


def test_at_a_seam_a_target_that_outruns_its_source_ends_the_seam_alone() -> None:
    control = far_ahead()
    control.close(9)
    assert control.decide(None, WORD) == ("read", None)
    assert (control.closing, control.phase) == (None, Phase.READING)


def test_an_unasked_head_is_an_error_where_nothing_forces() -> None:
    with pytest.raises(BadStateError, match="expected a score"):
        deciding().decide(None, WORD)


def test_no_source_after_the_source_end() -> None:
    control = Controller(Rules(max_output_tokens=10), threshold=0.5)
    control.end_source()
    with pytest.raises(BadStateError):
        control.release(1)


def test_no_seam_behind_the_source_end() -> None:
    control = Controller(Rules(max_output_tokens=10), threshold=0.5)
    control.end_source(1)
    with pytest.raises(BadStateError, match="seam"):
        control.close(3)
