"""Calibration of a checkpoint, to its files and back: what was written is what is served."""

import json
from pathlib import Path

import pytest

from backbones import loading
from backbones.checkpoint import Tier, read_config, read_tiers, write_tiers
from backbones.loading import Checkpoint
from errors import InvalidValueError
from evaluation import tune
from evaluation.backends import OnEngine
from evaluation.calibration import Target, latency
from evaluation.policies import Policy
from evaluation.progress import Progress
from tasks.example import Example
from tests.backbones.test_loading import save

SENTENCES = ("the dog sat down where the cats were", "birds sang and the people of the town knew it", "one two three four five six")
EXAMPLES = [Example(f"e{i}", text, ("a b",)) for i, text in enumerate(SENTENCES)]
SILENT = Progress(lambda *_: None, lambda: None)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "mine")


def echoing(folder: Path) -> Checkpoint:
    (folder / "proactivellm.json").write_text(json.dumps({"tasks": {"echo": {"prompt": "Again: ", "max_output_tokens": 8}}}))
    return loading.load(str(folder), dtype="float32")


def test_tiers_are_found_written_and_served(folder: Path) -> None:
    checkpoint = echoing(folder)
    write_tiers(folder, "echo", "mass", {"low": Tier(threshold=0.1, calibrated=False)})
    targets = [Target("low", "rco", 0.6), Target("high", "rco", 0.9)]
    found = tune.tiers(checkpoint, "echo", "entropy", EXAMPLES, targets, folder, SILENT)
    again = loading.load(str(folder), dtype="float32")
    assert set(again.tiers["echo"]) == {"entropy", "mass"}
    for one in found:
        tier = again.tiers["echo"]["entropy"][one.target.tier]
        assert (tier.threshold, tier.metric, tier.target, tier.calibrated) == (one.threshold, "rco", one.target.value, True)
        assert tier.data is not None
        assert len(tier.data) == 64
        assert tier.date is not None
        # The tier does what it says on the data it was calibrated on.
        policy = Policy("entropy", tier=one.target.tier)
        records = list(OnEngine(again, "echo", slots=2).run([(policy, example) for example in EXAMPLES]))
        assert latency(records, "rco") == pytest.approx(tier.achieved, abs=1e-3)
    assert found[0].threshold < found[1].threshold


def test_known_thresholds_are_begun_with_and_no_score_is_asked_for(folder: Path) -> None:
    stages: list[str] = []
    progress = Progress(lambda name, _: stages.append(name), lambda: None)
    checkpoint = echoing(folder)
    tune.tiers(checkpoint, "echo", "entropy", EXAMPLES, [Target("low", "rco", 0.6)], folder, progress, first=(0.01, 0.02))
    assert stages[0] == "entropy at 0.01, 0.02"


def test_selected_heads_are_written_and_tapped_and_older_tiers_are_calibrated_no_longer(folder: Path) -> None:
    old = Tier(threshold=0.2, target=0.8, achieved=0.8, calibrated=True)
    for head in ("attention", "entropy"):
        write_tiers(folder, "repeat", head, {"medium": old})
    checkpoint = loading.load(str(folder), dtype="float32")
    chosen, found = tune.select(checkpoint, "repeat", EXAMPLES, folder)
    pairs = sorted(pair for pair, _ in found)
    assert len(pairs) == 8
    assert list(chosen.backbone.pairs) == pairs == sorted(read_config(folder).attention_heads or ())
    assert loading.load(str(folder), dtype="float32").backbone.pairs == chosen.backbone.pairs
    tiers = read_tiers(folder)["repeat"]
    assert (tiers["attention"]["medium"].calibrated, tiers["entropy"]["medium"].calibrated) == (False, True)


def test_another_folder_gets_the_settings_and_points_to_the_weights(folder: Path, tmp_path: Path) -> None:
    (folder / "proactivellm.json").write_text(json.dumps({"name": "mine", "offset": 3}))
    out = tune.folder_for(str(folder), tmp_path / "tuned")
    assert out == tmp_path / "tuned"
    assert json.loads((out / "proactivellm.json").read_text()) == {"name": "mine", "offset": 3, "backbone": str(folder.resolve())}
    assert loading.load(str(out), dtype="float32").backbone.offset == 3
    assert tune.folder_for(str(folder), None) == folder
    with pytest.raises(InvalidValueError, match="--out"):
        tune.folder_for("org/model", None)


@pytest.mark.parametrize(("head", "attentive"), [("attention", True), ("mass", True), ("entropy", False), ("fixed_fraction", False)])
def test_heads_that_look_at_attention_are_known(head: str, attentive: bool) -> None:
    assert tune.needs_attention(head) is attentive
