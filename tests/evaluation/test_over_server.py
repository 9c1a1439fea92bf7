"""A server gives the delays and the text that the engine gives: everything that a figure is made of."""

from collections.abc import Iterator

import pytest

from errors import InvalidValueError, ProactiveError, UnknownNameError
from evaluation.backends import OnEngine, OverServer, describe
from evaluation.policies import Policy, baselines
from evaluation.record import Record
from tests import tiny
from tests.evaluation.test_drive import EXAMPLES, near
from tests.server.live import Live, wait_until

BASELINES = ["full", "wait_k", "fixed_fraction", "random", "oracle"]
POLICIES = [Policy("entropy", 0.3), Policy("entropy", tier="high"), *baselines(BASELINES, EXAMPLES)]
JOBS = [(policy, example) for policy in POLICIES for example in EXAMPLES if policy.suits(example)]


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def by_key(records: Iterator[Record]) -> dict[tuple[str, str], Record]:
    """Without what needs a tokenizer at hand."""
    bare = (record.model_copy(update={"token_delays": None, "source_tokens": None}) for record in records)
    return {(record.policy, record.id): near(record) for record in bare}


def test_a_server_gives_the_records_that_the_engine_gives(live: Live) -> None:
    over = by_key(OverServer(live.url, "echo", at_once=3).run(JOBS))
    assert len(over) == len(JOBS)
    assert over == by_key(OnEngine(tiny.checkpoint(), "echo", slots=5).run(JOBS))


def test_a_pace_is_kept_and_the_clock_written_down(live: Live) -> None:
    (record,) = OverServer(live.url, "echo", pace=100.0).run([(Policy("entropy", 0.3), EXAMPLES[0])])
    assert record.clock is not None
    sent, writes = record.clock.sent, record.clock.writes
    assert (len(sent), len(writes)) == (record.source_length, len(record.delays))
    assert all(when >= number / 100 for number, when in enumerate(sent))
    assert list(writes) == sorted(writes)
    # No token came before the last word that it saw was sent.
    assert all(when > sent[phi - 1] for when, phi in zip(writes, record.delays, strict=True))


def test_what_the_server_refuses_names_the_item(live: Live) -> None:
    with pytest.raises(ProactiveError, match=r"item 'e0': .*low"):
        list(OverServer(live.url, "echo").run([(Policy("entropy", tier="lowest"), EXAMPLES[0])]))


def test_a_server_is_described_by_its_models_page(live: Live) -> None:
    entry = describe(live.url, "echo", None)
    assert (entry["id"], entry["slots"], entry["tasks"]["echo"]["default_head"]) == ("tiny", 8, "entropy")
    with pytest.raises(UnknownNameError, match=r"task .*ask, echo, words.*'sing'"):
        describe(live.url, "sing", None)
    with pytest.raises(UnknownNameError, match="model"):
        describe(live.url, "echo", "large")
    with pytest.raises(InvalidValueError, match="expected a ProactiveLLM server"):
        describe("ws://127.0.0.1:9", "echo", None)
