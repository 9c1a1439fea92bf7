"""A LoRA on a real Qwen2.5 of half a billion parameters: a few steps lower the loss, and the adapter is served on its base.

PROACTIVELLM_QWEN names the model: a folder, or a .gguf file.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.state import AcceleratorState

from backbones import loading
from tests.training.test_trainer import QUIET, losses
from training.config import Config
from training.progress import read_metrics
from training.run import train

QWEN = os.environ.get("PROACTIVELLM_QWEN", "")
pytestmark = [
    pytest.mark.skipif(not Path(QWEN).exists() or not QWEN, reason="PROACTIVELLM_QWEN=folder or .gguf file of a Qwen2.5-0.5B"),
    pytest.mark.slow,
    pytest.mark.timeout(3600),
]
STEPS = 4


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_a_few_steps_lower_the_loss_and_the_adapter_is_served_on_its_base(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    animals = (("dog", "Hund"), ("cat", "Kater"), ("bird", "Vogel"), ("man", "Mann"))
    rows = [f"The {theirs} sleeps under the table.,Der {ours} schläft unter dem Tisch." for theirs, ours in animals]
    pairs.write_text("\n".join(["source,target", *rows]))
    folder = train(
        Config.model_validate(
            {
                "model": {"base": QWEN, "name": "few-steps"},
                "lora": {"r": 8, "alpha": 16},
                "data": [{"data": str(pairs), "task": "translate"}],
                "optimizer": {"lr": 1e-3, "warmup": 0},
                "run": {
                    "out": str(tmp_path / "run"),
                    "steps": STEPS,
                    "batch_tokens": 140,
                    "device": "cpu",
                    "threads": 1,
                    "gradient_checkpointing": True,
                },
            }
        ),
        QUIET,
    )
    found = losses(tmp_path / "run")
    print([{name: round(value, 4) for name, value in line.items()} for line in read_metrics(tmp_path / "run")])
    assert len(found) == STEPS
    assert found[-1] < 0.8 * found[0]
    served = loading.load(str(folder))
    assert served.name == "few-steps"
    assert served.adapter == str(folder)
    assert Path(served.weights).is_dir()
