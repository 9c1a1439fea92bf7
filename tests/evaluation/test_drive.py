"""The runner drives the real engine: its records say what the sessions did, whatever ran beside them."""

import pytest

from engine.actions import Append, Decision, Done, End, Event, Write
from errors import ProactiveError
from evaluation.drive import fitting_engine, run
from evaluation.policies import ALL_BASELINES, Policy, baselines
from evaluation.record import Record, word_delays
from tasks.example import Example
from tasks.words import pieces
from tests import tiny

SENTENCES = ("the dog sat down where the cats were", "birds sang", "one", "and the people of this town  knew it\twell enough")
EXAMPLES = [Example(f"e{i}", text, ("a b",), cluster=str(i % 2), oracle=2 if i % 2 else None) for i, text in enumerate(SENTENCES)]
POLICIES = [Policy("entropy", 0.3), Policy("attention", 0.05), *baselines(ALL_BASELINES, EXAMPLES)]
JOBS = [(policy, example) for policy in POLICIES for example in EXAMPLES if policy.suits(example)]


def records(slots: int) -> dict[tuple[str, str], Record]:
    engine = fitting_engine(tiny.checkpoint(), "echo", EXAMPLES, slots=slots, max_output_tokens=None)
    found = {(record.policy, record.id): record for record in run(engine, "echo", JOBS)}
    assert engine.free_slots == slots
    return found


class Near(float):
    """A score that equals another to 1e-4. Rounded scores do not do: two that differ in the last bit may be rounded apart."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, float) and abs(self - other) <= 1e-4

    __hash__ = None  # type: ignore[assignment]  # nearness is no equivalence


def near(record: Record) -> Record:
    """Company changes the last bits of a score, and nothing else."""
    decisions = tuple((phi, index, score if score is None else Near(score), action) for phi, index, score, action in record.decisions)
    return record.model_copy(update={"decisions": decisions})


def test_records_are_the_same_one_at_a_time_and_in_company() -> None:
    together = records(7)
    assert len(together) == len(JOBS)
    alone = records(1)
    assert {key: near(record) for key, record in together.items()} == {key: near(record) for key, record in alone.items()}


def test_a_record_says_what_the_session_did() -> None:
    """Against the events of a session that is run by hand."""
    policy, example = Policy("entropy", 0.3), EXAMPLES[0]
    engine = fitting_engine(tiny.checkpoint(), "echo", EXAMPLES, slots=1, max_output_tokens=None)
    messages = [*map(Append, pieces(example.source)), End()]
    events = tiny.run(engine, policy.request("echo", example), messages)
    (record,) = run(engine, "echo", [(policy, example)])
    done = events[-1]
    assert isinstance(done, Done)
    assert (record.target, record.reason, record.read) == (done.text, done.reason, done.usage.source_units)
    assert len(record.delays) == done.usage.target_tokens > 0
    decisions = [event for event in events if isinstance(event, Decision)]
    assert [(d.phi, d.index, d.action) for d in decisions] == [(phi, index, action) for phi, index, _, action in record.decisions]
    assert sum(record.delays) / len(record.delays) / 8 == pytest.approx(done.rco)
    # phi of a write is that of the last token in it.
    for write in (event for event in events if isinstance(event, Write) and event.count):
        assert record.delays[write.index + write.count - 1] == write.phi
    assert record.token_delays is not None
    assert record.source_tokens is not None
    assert all(0 <= tokens <= record.source_tokens for tokens in record.token_delays)
    assert sorted(record.token_delays) == list(record.token_delays)


def test_baselines_do_what_they_are_called() -> None:
    found = records(7)
    full = [record for (policy, _), record in found.items() if policy.startswith("full")]
    assert all(set(record.delays) <= {record.source_length} for record in full)
    half = [record for (policy, _), record in found.items() if policy == "fixed_fraction@0.5"]
    assert all(min(record.delays) == -(-record.source_length // 2) for record in half)
    oracle = [record for (policy, _), record in found.items() if policy.startswith("oracle")]
    assert {record.id for record in oracle} == {"e1", "e3"}
    # e1's last word is known to be one at the source end only, which is when its oracle is reached.
    assert all(set(record.delays) == {record.oracle} for record in oracle)


def test_the_item_at_fault_is_named() -> None:
    with pytest.raises(ProactiveError, match=r"item 'e0': .*inputs\.question"):
        fitting_engine(tiny.checkpoint(), "ask", EXAMPLES, slots=1, max_output_tokens=None)


@pytest.mark.parametrize(
    ("writes", "expected"),
    [
        ([], []),
        ([("Der", 1), (" Hund", 3), (" schl", 4), ("äft.", 5)], [3, 4, 9]),  # a word is complete when the next one's blank comes
        ([("Der ", 1), ("  ", 2), ("Hund", 3)], [1, 9]),
        ([(" a b c", 2)], [2, 2, 9]),
        ([("a\n", 2)], [2]),
    ],
)
def test_word_delays(writes: list[tuple[str, int]], expected: list[int]) -> None:
    events: list[Event] = [Write(text, 0, 1, phi, 1) for text, phi in writes]
    assert word_delays((event for event in events if isinstance(event, Write)), 9) == expected


def test_a_cap_below_the_tasks_own_makes_slots_short() -> None:
    """A server would refuse to start with such slots."""
    engine = fitting_engine(tiny.checkpoint(), "echo", EXAMPLES, slots=2, max_output_tokens=1)
    found = list(run(engine, "echo", [(Policy("full", 0.0), example) for example in EXAMPLES], max_output_tokens=1))
    assert {len(record.delays) for record in found} == {1}
    assert {record.reason for record in found} == {"length"}
