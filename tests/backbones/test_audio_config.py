"""audio_encoder.json: read back as written, and refused with the field at fault."""

import json
from pathlib import Path

import pytest

from backbones.audio_config import CONFIG_FILE, read_config
from errors import CheckpointError
from tests.backbones.audio import CONFIG


def test_a_config_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / CONFIG_FILE).write_text(CONFIG.model_dump_json())
    assert read_config(tmp_path) == CONFIG
    assert CONFIG.out == 24
    assert CONFIG.model_copy(update={"projector": None}).out == CONFIG.width


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"bins": 81}, "bins"),
        ({"heads": 5}, "multiple of heads"),
        ({"positions": 49}, "positions"),
        ({"layer": 1}, "layer"),
        ({"block": 3}, "block of whole tokens"),
        ({"block": 20}, "window of whole blocks; got 20 of 48"),
    ],
)
def test_a_bad_field_is_named(tmp_path: Path, changes: dict[str, int], told: str) -> None:
    (tmp_path / CONFIG_FILE).write_text(json.dumps(CONFIG.model_dump() | changes))
    with pytest.raises(CheckpointError, match=told):
        read_config(tmp_path)


def test_a_folder_without_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"expected {CONFIG_FILE} in"):
        read_config(tmp_path)
