"""What the worker hands over to the loop: each outcome to its own session, whatever the others do with theirs."""

from engine.actions import Read
from server.handle import Handle, Outcome
from server.worker import _hand_out


def test_what_fails_for_one_session_does_not_cost_another_its_events() -> None:
    def broken(_: Outcome) -> None:
        raise IndexError("pop from an empty deque")

    got: list[Outcome] = []
    _hand_out([(Handle(broken), Read(1, 1)), (Handle(got.append), Read(2, 1)), (Handle(got.append), Read(3, 2))])
    assert got == [Read(2, 1), Read(3, 2)]
