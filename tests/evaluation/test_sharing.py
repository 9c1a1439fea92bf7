"""Which backend runs many policies, and in which order records come."""

from itertools import groupby

from evaluation.backends import OnEngine
from evaluation.policies import Policy
from evaluation.shared_probes import OnSharedProbes
from evaluation.sharing import backend_for
from tests import tiny
from tests.evaluation.test_drive import EXAMPLES
from tests.evaluation.test_shared_probes import by_key, capped

JOBS = [(Policy("entropy", threshold), example) for example in EXAMPLES for threshold in (0.2, 0.5, 0.8)]


def test_texts_share_their_probes() -> None:
    assert isinstance(backend_for(tiny.checkpoint(), "echo", EXAMPLES), OnSharedProbes)
    assert isinstance(backend_for(tiny.checkpoint(), "echo", EXAMPLES, item_by_item=True), OnSharedProbes)


def test_a_task_that_caps_its_reads_runs_on_the_engine_item_by_item_where_that_is_asked_for() -> None:
    assert isinstance(backend_for(capped(), "echo", EXAMPLES), OnEngine)
    records = list(backend_for(capped(), "echo", EXAMPLES, item_by_item=True).run(JOBS))
    assert [item for item, _ in groupby(record.id for record in records)] == [example.id for example in EXAMPLES]
    assert by_key(records) == by_key(list(OnEngine(capped(), "echo").run(JOBS)))
