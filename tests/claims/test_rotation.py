"""Every speaker in turn: kept for testing, run once, and told by the claim."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate.state import AcceleratorState

from backbones.audio_weights import save_encoder
from claims import rotation, speech
from claims.parts import DIGITS_POINT, Aim
from claims.results import read_all
from errors import InvalidValueError
from tests import tiny
from tests.backbones.audio import encoder
from tests.recipes import made
from tests.training.test_heard_run import SIZES
from tests.training.test_trainer import TASK, TEMPLATE
from training.config import Config, read_config
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
data = "{work}/SPEAKER/train.jsonl"
task = "transcribe"
[run]
out = "{work}/without-SPEAKER"
steps = 1
device = "cpu"
dtype = "float32"
"""

# A model that was never trained recognises no word, and so has no lag.
IN_RCO = (Aim(DIGITS_POINT, "rco", 0.65), Aim("curve", "rco", 0.58))


def table(values: dict[str, Any]) -> str:
    return "{" + ", ".join(f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}" for name, value in values.items()) + "}"


def written(folder: Path, work: Path) -> Path:
    save_encoder(encoder(tiny.ENCODER.model_copy(update={"projector": None})), folder / "encoder")
    text = CONFIG.format(
        template=table(TEMPLATE),
        sizes=table({**SIZES, "max_position_embeddings": 256}),
        encoder=folder / "encoder",
        prompt=TASK["prompt"],
        work=work,
    )
    (folder / "config.toml").write_text(text, encoding="utf-8")
    return folder / "config.toml"


def test_each_is_kept_for_testing_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "COUNT", 2)
    monkeypatch.setattr(rotation, "TEST_COUNT", 2)
    monkeypatch.setattr(rotation, "AIMS", IN_RCO)
    monkeypatch.setitem(rotation.PARTS, "speech-digits", replace(rotation.PARTS["speech-digits"], grid=3))
    heard = []

    def counted(config: Config) -> Path:
        AcceleratorState._reset_state(reset_partial_state=True)
        lines = Path(config.data[0].data).read_text(encoding="utf-8").splitlines()
        heard.append((config.run.out.name, {json.loads(line)["cluster"] for line in lines}))
        return train(config)

    monkeypatch.setattr(rotation, "train", counted)
    work, out = tmp_path / "work", tmp_path / "results"
    given = {"data": made.digits(tmp_path / "fsdd"), "config": written(tmp_path, work), "threads": 1, "work": work, "out": out}
    rotation.main(**given)  # type: ignore[arg-type]  # by name
    assert heard == [("without-ann", {"bob", "cy"}), ("without-bob", {"ann", "cy"}), ("without-cy", {"ann", "bob"})]
    results = read_all(out)
    assert {name: {line.cluster for line in found.lines} for name, found in results.items()} == {
        f"speech-digits.{name}": {name} for name in ("ann", "bob", "cy")
    }
    assert [row[0] for row in speech.judge(results).grids[0].rows[1:]] == ["ann", "bob", "cy", "mean of speakers"]
    (out / "speech-digits.bob.jsonl.gz").unlink()
    rotation.main(**given)  # type: ignore[arg-type]  # by name
    assert [name for name, _ in heard[3:]] == ["without-bob"]


def test_a_configuration_that_is_the_same_for_all_is_refused(tmp_path: Path) -> None:
    config = read_config(written(tmp_path, tmp_path))
    data = config.data[0].model_copy(update={"data": "runs/digits/train.jsonl"})
    with pytest.raises(InvalidValueError, match="expected SPEAKER in the paths"):
        rotation.without("ann", config.model_copy(update={"data": (data,)}), 1)
