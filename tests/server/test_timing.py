"""What a watcher makes of a session's messages and answers, on a clock of its own."""

from engine.actions import Append, Done, End, Read, Usage, Write
from engine.request import Request
from errors import NoCapacityError, ProactiveError
from server.handle import Crashed, Handle, Opened, Outcome, Refused, Retune
from server.metrics import Metrics
from server.timing import Timing, Timings

OPENED = Opened("m", "wait_k", 1.0, 100, 10)


class World:
    """Metrics, a clock and one session."""

    def __init__(self) -> None:
        self.now = 100.0
        self.metrics = Metrics()
        self.timings = Timings(self.metrics, lambda: self.now)

    def session(self) -> Timing:
        return self.timings.watch(Handle(lambda _: None), None, Request("echo"))

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"proactivellm_{name}", labels) or 0.0

    @property
    def queue_age(self) -> float:
        return self.value("queue_age_seconds")


def write(n: int) -> Write:
    return Write("a", 0, 1, 1, n)


def done(reason: str = "end", rco: float | None = 0.5) -> Done:
    return Done("a", reason, Usage(1, 1, 1, 1, 1), rco, None if rco is None else 2.0)  # type: ignore[arg-type]


def test_the_first_write_counts_from_the_first_source_and_lag_from_the_source_that_it_answers() -> None:
    world = World()
    session = world.session()
    session.came(OPENED)
    script: list[tuple[float, Append | End | Outcome]] = [
        (0, Append("a ")),
        (1, Append("b ")),
        (3, Read(1, 1)),
        (4, write(2)),  # 4 s after the first source, 3 s after the second
        (5, write(2)),
        (6, Read(2, 2)),
        (7, End()),
        (9, write(3)),
        (10, done()),
    ]
    for at, what in script:
        world.now = 100.0 + at
        session.sent(what) if isinstance(what, Append | End) else session.came(what)
    assert (world.value("first_write_seconds_sum", model="m"), world.value("first_write_seconds_count", model="m")) == (4, 1)
    assert (world.value("lag_seconds_sum", model="m"), world.value("lag_seconds_count", model="m")) == (3 + 4 + 2, 3)
    assert world.value("final_seconds_sum", model="m") == 3
    assert world.value("read_coverage_sum", model="m", head="wait_k") == 0.5
    assert world.value("interaction_lag_units_sum", model="m", head="wait_k") == 2


def test_the_queue_is_as_old_as_its_oldest_message_and_empty_once_sessions_are_over() -> None:
    world = World()
    old, new = world.session(), world.session()
    for session in (old, new):
        session.came(OPENED)
    old.sent(Append("a "))
    world.now += 2
    new.sent(Append("a "))
    new.sent(Retune("low", None))
    world.now += 3
    assert world.queue_age == 5
    old.came(Read(1, 1))
    assert world.queue_age == 3
    new.left()
    assert world.queue_age == 0


def test_whatever_ends_a_session_nothing_of_it_is_kept() -> None:
    ends: list[Outcome] = [Refused(NoCapacityError("full", retry_after=1.0)), Crashed(ProactiveError("gone")), done("cancelled", None)]
    world = World()
    for end in ends:
        session = world.session()
        session.sent(Append("a "))
        session.came(end)
    assert world.queue_age == 0
    assert not world.timings._live
    assert world.value("refusals_total", code="no_capacity") == 1


def test_a_refused_update_is_no_refused_session_and_a_cancelled_one_has_no_final() -> None:
    world = World()
    session = world.session()
    session.came(OPENED)
    session.came(Refused(ProactiveError("no such tier")))
    session.sent(End())
    session.came(done("cancelled"))
    assert world.value("refusals_total", code="internal") == 0
    assert world.value("final_seconds_count", model="m") == 0


def test_text_that_was_held_back_until_a_cancel_answers_no_source() -> None:
    world = World()
    session = world.session()
    for what in (OPENED, Read(1, 1), write(1), done("cancelled")):
        if isinstance(what, Read):
            session.sent(Append("a "))
        session.came(what)
    assert world.value("lag_seconds_count", model="m") == 0
    assert world.value("first_write_seconds_count", model="m") == 1


def test_a_long_target_is_no_queue_and_a_tick_that_hangs_in_it_is_one() -> None:
    world = World()
    session = world.session()
    session.came(OPENED)
    session.sent(Append("a "))
    session.sent(Append("b "))
    for second in range(1, 30):
        world.now = 100.0 + second
        session.came(write(1))
    assert world.queue_age == 0
    world.now = 137.0
    assert world.queue_age == 8
    session.came(Read(1, 1))
    assert world.queue_age == 0  # the second message has waited all the time; that is the client's own backlog
    world.now = 140.0
    assert world.queue_age == 3
