"""A report's folder: what is there is kept, what a crash cut off is run again, what is of another run is not mixed in."""

from pathlib import Path

import pytest

from errors import InvalidValueError
from evaluation.drive import fitting_engine, run
from evaluation.policies import Policy
from evaluation.record import Record
from evaluation.store import ITEMS, Run, Store, read_records
from tests import tiny
from tests.evaluation.test_drive import EXAMPLES

RUN = Run(model="tiny", model_hash=None, task="echo", data="made", data_hash="0")


@pytest.fixture(scope="module")
def records() -> list[Record]:
    engine = fitting_engine(tiny.checkpoint(), "echo", EXAMPLES, slots=2, max_output_tokens=None)
    return list(run(engine, "echo", [(Policy("entropy", 0.3), example) for example in EXAMPLES]))


def test_records_survive_and_only_what_is_missing_is_missing(tmp_path: Path, records: list[Record]) -> None:
    with Store(tmp_path, RUN) as store:
        for record in records[:2]:
            store.add(record)
    with Store(tmp_path, RUN) as again:
        assert again.records == records[:2]
        jobs = [(record.policy, record.id) for record in records]
        assert again.missing(jobs) == set(jobs[2:])
        again.add(records[2])
    assert read_records(tmp_path) == records[:3]


def test_a_line_that_a_crash_cut_off_is_dropped(tmp_path: Path, records: list[Record]) -> None:
    with Store(tmp_path, RUN) as store:
        for record in records:
            store.add(record)
    whole = (tmp_path / ITEMS).read_bytes()
    for cut in (1, 40, len(whole.splitlines()[-1])):
        (tmp_path / ITEMS).write_bytes(whole[:-cut])
        with Store(tmp_path, RUN) as store:
            assert store.records == records[:-1]
            store.add(records[-1])
        assert (tmp_path / ITEMS).read_bytes() == whole


def test_a_broken_line_before_the_end_is_told_with_its_number(tmp_path: Path, records: list[Record]) -> None:
    lines = [record.model_dump_json() for record in records]
    (tmp_path / ITEMS).write_text("\n".join([lines[0], lines[1][:-9], lines[2], ""]))
    with pytest.raises(InvalidValueError, match="line 2: expected a record"):
        read_records(tmp_path)


@pytest.mark.parametrize(("field", "value"), [("model", "other"), ("data_hash", "1"), ("task", "ask"), ("max_output_tokens", 3)])
def test_another_run_is_refused_by_the_field_that_differs(tmp_path: Path, field: str, value: object) -> None:
    Store(tmp_path, RUN)
    with pytest.raises(InvalidValueError, match=f"its {field} is .*another --out"):
        Store(tmp_path, RUN.model_copy(update={field: value}))
