"""Who gets what of a tick: the budget is kept, nobody starves, and a long prefill never stalls the others' probes."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scheduler import Scheduler, Turn
from errors import InvalidValueError


@dataclass
class Job:
    """Stands in for a session."""

    pending: int
    wants_probe: bool
    served: int = -1


jobs = st.lists(st.builds(Job, st.integers(0, 200), st.booleans()), max_size=12)


def apply(turns: list[Turn[Job]]) -> None:
    for turn in turns:
        turn.session.pending -= turn.count
        if turn.probe:
            assert turn.session.pending == 0
            turn.session.wants_probe = False


@given(jobs=jobs, budget=st.integers(24, 128))
def test_a_tick_keeps_its_budget_and_does_no_work_twice(jobs: list[Job], budget: int) -> None:
    turns = Scheduler(budget).schedule(jobs)
    assert sum(turn.count + turn.probe for turn in turns) <= budget
    assert len({id(turn.session) for turn in turns}) == len(turns)
    assert all(turn.count or turn.probe for turn in turns)
    assert bool(turns) == any(job.pending or job.wants_probe for job in jobs)
    apply(turns)


@given(jobs=jobs, budget=st.integers(24, 128))
def test_all_work_gets_done_in_about_as_many_ticks_as_it_needs(jobs: list[Job], budget: int) -> None:
    scheduler: Scheduler[Job] = Scheduler(budget)
    work = sum(job.pending + job.wants_probe for job in jobs)
    for _ in range(2 * (work // (budget // 4)) + len(jobs) + 1):
        apply(scheduler.schedule(jobs))
    assert not any(job.pending or job.wants_probe for job in jobs)


@given(budget=st.integers(24, 128), probing=st.integers(1, 8))
def test_probes_run_beside_a_long_prefill(budget: int, probing: int) -> None:
    prefill, others = Job(10_000, True), [Job(1, True) for _ in range(probing)]
    turns = Scheduler(budget).schedule([prefill, *others])
    assert [turn.probe for turn in turns] == [True] * probing + [False]
    assert turns[-1].session is prefill
    assert turns[-1].count == budget - 2 * probing


def test_a_full_house_of_probes_does_not_starve_a_prefill() -> None:
    prefill = Job(100, False)
    scheduler: Scheduler[Job] = Scheduler(32)
    for _ in range(14):
        apply(scheduler.schedule([*(Job(0, True) for _ in range(100)), prefill]))
    assert prefill.pending == 0


def test_the_longest_unserved_go_first() -> None:
    scheduler: Scheduler[Job] = Scheduler(8)
    crowd = [Job(0, True) for _ in range(20)]
    order: list[int] = []
    for _ in range(5):
        turns = scheduler.schedule(crowd)
        order += [id(turn.session) for turn in turns]
    # Forty turns for twenty sessions that always want one: everybody had exactly two.
    assert sorted(order.count(id(job)) for job in crowd) == [2] * 20


def test_a_tick_too_small_to_divide_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="at least 4"):
        Scheduler(3)
