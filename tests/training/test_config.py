"""Which configuration is the same as one that an earlier version wrote down."""

import json
from pathlib import Path
from typing import Any

import pytest

from errors import InvalidValueError
from tasks.example import Example
from tests import tiny
from training import run, state
from training.config import Config, difference, lasting, restated
from training.data import Part

PLAIN: dict[str, Any] = {
    "model": {"base": "somewhere"},
    "tasks": {"translate": {"prompt": ""}},
    "data": [{"data": "pairs.tsv", "task": "translate"}],
    "run": {"out": "out", "steps": 8},
}


def without(value: Any, *names: str) -> Any:
    """What a version wrote that did not know these fields."""
    if isinstance(value, dict):
        return {name: without(part, *names) for name, part in value.items() if name not in names}
    return [without(part, *names) for part in value] if isinstance(value, list) else value


def written(**changes: Any) -> Any:
    return json.loads(json.dumps(lasting(Config.model_validate({**PLAIN, **changes}))))


def test_a_field_that_came_since_has_its_default() -> None:
    before = without(written(), "carried", "rollover")
    assert difference(written(), before) == "data.0.carried: 0.0 now, None then"
    assert difference(written(), restated(before)) is None


def test_another_value_of_it_is_a_difference() -> None:
    now = written(data=[{"data": "pairs.tsv", "task": "translate", "carried": 0.3}])
    assert difference(now, restated(without(written(), "carried"))) == "data.0.carried: 0.3 now, 0.0 then"


def test_a_field_that_is_no_more_is_a_difference() -> None:
    before = {**written(), "budget": {**written()["budget"], "gone": 1}}
    assert difference(written(), restated(before)) == "budget.gone: None now, 1 then"


def test_a_run_that_was_begun_before_a_field_was_there_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config.model_validate({**PLAIN, "run": {"out": str(tmp_path), "steps": 8}})
    parts = [Part(config.data[0], tiny.TASKS["words"], [Example("a", "dog", ("Hund",))])]
    monkeypatch.setattr(run, "latest", lambda _: tmp_path)  # it has a checkpoint
    run._same_run(config, parts)
    path = tmp_path / run.RUN_FILE
    state.write_json(path, without(json.loads(path.read_text()), "carried", "rollover"))
    run._same_run(config, parts)
    other = config.model_copy(update={"data": (config.data[0].model_copy(update={"carried": 0.3}),)})
    with pytest.raises(InvalidValueError, match=r"data\.0\.carried"):
        run._same_run(other, parts)
