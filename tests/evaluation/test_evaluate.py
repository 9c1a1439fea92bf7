"""Which thresholds a sweep begins with: those of scores before anything is written, and of the lower ones that come then."""

from collections.abc import Iterator, Sequence

import pytest

from errors import InvalidValueError
from evaluation.drive import Job
from evaluation.evaluate import NEVER, first_thresholds
from evaluation.record import Record
from tasks.example import Example
from tests.evaluation.test_calibration import record
from tests.evaluation.test_tune import SILENT


class Tiring:
    """Its head is surer before the first token than behind it, and the less so the more it has written."""

    def __init__(self, before: Sequence[float]) -> None:
        self._before, self.asked = before, list[float | None]()

    def run(self, jobs: Sequence[Job]) -> Iterator[Record]:
        for policy, _ in jobs:
            assert policy.threshold is not None
            self.asked.append(policy.threshold)
            scores = self._before if policy.threshold == NEVER else (max(0.1, policy.threshold - 0.4),)
            yield record(0.5).model_copy(update={"decisions": tuple((1, 0, score, "read") for score in (*scores, None))})


EXAMPLES = [Example(id=str(i), source="a b", references=("c",)) for i in range(2)]


def test_a_sweep_begins_below_what_the_head_says_before_it_writes() -> None:
    backend = Tiring((0.9, 0.6))
    assert first_thresholds("entropy", EXAMPLES, backend, 3, SILENT) == pytest.approx([0.1, 0.2, 0.9])
    assert backend.asked == pytest.approx([NEVER, NEVER, 0.6, 0.6, 0.2, 0.2, 0.1, 0.1])


def test_a_head_that_is_never_asked_has_no_thresholds() -> None:
    backend = Tiring(())
    with pytest.raises(InvalidValueError, match="'full' gave none"):
        first_thresholds("full", EXAMPLES, backend, 3, SILENT)
    assert backend.asked == [NEVER, NEVER]
