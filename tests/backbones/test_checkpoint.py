"""proactivellm.json and tiers.json: optional, strict, and exact about what is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from backbones.checkpoint import Tier, read_config, read_tiers
from errors import CheckpointError
from tasks import DEFAULT_TASKS


def test_a_plain_folder_gets_the_defaults(tmp_path: Path) -> None:
    assert read_config(tmp_path).tasks == DEFAULT_TASKS
    assert read_config(tmp_path).offset == 0
    assert read_tiers(tmp_path) == {}


def test_every_field_of_the_files_arrives(tmp_path: Path) -> None:
    task = {"prompt": "Say {it}", "inputs": {"it": {"description": "d", "default": None}}, "default_head": "mass", "gate": "word"}
    (tmp_path / "proactivellm.json").write_text(
        json.dumps({"version": 1, "offset": 64, "unit": "word", "attention_heads": [[1, 2], [3, 0]], "tasks": {"say": task}})
    )
    tier = {"threshold": 0.5, "target": 0.8, "achieved": None, "calibrated": False}
    (tmp_path / "tiers.json").write_text(json.dumps({"say": {"mass": {"low": tier}}}))
    config = read_config(tmp_path)
    assert (config.offset, config.attention_heads) == (64, ((1, 2), (3, 0)))
    assert config.tasks["say"].gate == "word"
    assert config.tasks["say"].tier_targets == {"low": 0.65, "medium": 0.80, "high": 0.92}
    assert read_tiers(tmp_path) == {"say": {"mass": {"low": Tier(threshold=0.5, target=0.8, calibrated=False)}}}


@pytest.mark.parametrize(
    ("file", "text", "where"),
    [
        ("proactivellm.json", '{"ofset": 1}', "ofset"),
        ("proactivellm.json", '{"offset": -1}', "offset"),
        ("proactivellm.json", '{"unit": "ms", "decision_ms": 100}', "decision_ms"),
        ("proactivellm.json", '{"audio": "ears"}', "file"),
        ("proactivellm.json", '{"listener": "ears"}', "file"),
        ("proactivellm.json", '{"listener": "ears", "audio": "ears", "unit": "ms"}', "file"),
        ("proactivellm.json", '{"tasks": {"t": {"prompt": "{who}"}}}', "tasks.t"),
        ("proactivellm.json", "{", "file"),
        ("tiers.json", '{"t": {"entropy": {"low": {"threshold": 0.5}}}}', "t.entropy.low.calibrated"),
    ],
)
def test_a_fault_is_told_with_file_and_field(tmp_path: Path, file: str, text: str, where: str) -> None:
    (tmp_path / file).write_text(text)
    read: Callable[[Path], object] = read_config if file == "proactivellm.json" else read_tiers
    with pytest.raises(CheckpointError, match=file) as refused:
        read(tmp_path)
    assert refused.value.param == where


def test_the_checkpoints_in_the_tree_are_valid() -> None:
    for file in (Path(__file__).parents[2] / "checkpoints").glob("*/proactivellm.json"):
        config = read_config(file.parent)
        tiers = read_tiers(file.parent)
        assert set(tiers) <= set(config.tasks)
        for name, task in config.tasks.items():
            assert set(tiers[name][task.default_head]) == {"low", "medium", "high"}
