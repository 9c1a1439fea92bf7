"""Every speaker in turn: kept for testing, run once, and told by the claim."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from backbones.audio_weights import save_encoder
from claims import rotation, speech
from claims.results import read_all
from tests import tiny
from tests.backbones.audio import encoder
from tests.recipes import made
from tests.training.test_heard_run import SIZES
from tests.training.test_trainer import TASK, TEMPLATE
from training.run import train

CONFIG = """
[model]
name = "tiny"
template = {template}
[model.fresh]
vocabulary = 300
sizes = {sizes}
[audio]
encoder = "{encoder}"
decision_ms = 80
[tasks.transcribe]
prompt = "{prompt}"
max_output_tokens = 6
forbid_end_before_source_end = true
[[data]]
data = "nowhere"
task = "transcribe"
[run]
out = "nowhere"
steps = 1
device = "cpu"
dtype = "float32"
"""


def table(values: dict[str, Any]) -> str:
    return "{" + ", ".join(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in values.items()) + "}"


def test_each_is_kept_for_testing_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_encoder(encoder(tiny.ENCODER.model_copy(update={"projector": None})), tmp_path / "encoder")
    config = tmp_path / "config.toml"
    sizes = {**SIZES, "max_position_embeddings": 256}
    config.write_text(
        CONFIG.format(template=table(TEMPLATE), sizes=table(sizes), encoder=tmp_path / "encoder", prompt=TASK["prompt"]), encoding="utf-8"
    )
    monkeypatch.setattr(rotation, "COUNTS", {"count": 2, "test_count": 2})
    monkeypatch.setitem(rotation.PARTS, "speech-digits", replace(rotation.PARTS["speech-digits"], grid=3, dev_items=4))
    heard = []

    def counted(found: Any) -> Path:
        AcceleratorState._reset_state(reset_partial_state=True)
        heard.append(found.data[0].data)
        return train(found)

    monkeypatch.setattr(rotation, "train", counted)
    given = {
        "data": made.digits(tmp_path / "fsdd"),
        "config": [config, config],
        "threads": 1,
        "work": tmp_path / "work",
        "out": tmp_path / "results",
    }
    rotation.main(**given)  # type: ignore[arg-type]  # by name
    assert [Path(path).parent.name for path in heard] == ["ann", "ann", "bob", "bob", "cy", "cy"]
    assert all(Path(path).name == "train.jsonl" for path in heard)
    results = read_all(tmp_path / "results")
    assert {name: {line.cluster for line in found.lines} for name, found in results.items()} == {
        f"speech-digits.{name}": {name} for name in ("ann", "bob", "cy")
    }
    assert [row[0] for row in speech.judge(results).grids[0].rows[1:]] == ["ann", "bob", "cy"]
    (tmp_path / "results" / "speech-digits.bob.jsonl.gz").unlink()
    rotation.main(**given)  # type: ignore[arg-type]  # by name
    assert len(heard) == 8
