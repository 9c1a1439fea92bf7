"""The commands of docs/training.md on a tiny model, and the configurations that the repository ships."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.state import AcceleratorState
from pydantic import ValidationError

from backbones import loading
from errors import InvalidValueError
from server.config import ServerConfig
from server.worker import load_checkpoint
from tests.backbones.test_adapters import text, write
from tests.backbones.test_loading import save
from tests.cli.test_evaluate import invoke
from training import data
from training.config import read_config

CONFIGS = Path(__file__).parents[2] / "configs"
RUN = """
[model]
base = "{base}"
name = "mine"
[lora]
r = 2
[[data]]
data = "{data}"
task = "translate"
[run]
out = "{out}"
steps = 2
batch_tokens = 200
device = "cpu"
threads = 1
"""


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(data, "WINDOW", 24)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "mine.csv"
    file.write_text("source,target\n" + "".join(f'"{word}, and the dog",{word} again\n' for word in ("one", "two", "three")))
    return file


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A model of few words: a random one does not come to an end by itself."""
    folder = save(tmp_path / "base")
    (folder / "proactivellm.json").write_text(json.dumps({"tasks": {"translate": {"prompt": "Again: ", "max_output_tokens": 4}}}))
    return folder


def test_from_a_csv_to_a_served_checkpoint(tmp_path: Path, table: Path, base: Path) -> None:
    (tmp_path / "run.toml").write_text(RUN.format(base=base, data=table, out=tmp_path / "run"))
    folder = Path(invoke("train", tmp_path / "run.toml").split()[-1])
    assert folder == tmp_path / "run" / "model"
    found = invoke(
        "calibrate",
        "--model",
        folder,
        "--task",
        "translate",
        "--data",
        table,
        "--head",
        "entropy",
        "--target",
        "low:rco=0.6",
        "--dtype",
        "float32",
    )
    assert "entropy" in found
    served = load_checkpoint(str(folder), ServerConfig(dtype="float32"))
    assert (served.name, served.adapter) == ("mine", str(folder))
    assert served.tiers["translate"]["entropy"]["low"].calibrated
    assert text(served)


def test_a_given_adapter_is_served_evaluated_and_calibrated_on_its_base(tmp_path: Path, table: Path, base: Path) -> None:
    adapter = write(tmp_path / "adapter")
    texts = {
        text(load_checkpoint(str(base), ServerConfig(model=[str(base)], adapter=str(adapter), merge_adapter=merge, dtype="float32")))
        for merge in (True, False)
    }
    assert texts == {text(loading.load(str(base), dtype="float32", adapter=str(adapter)))}
    where = ("--model", base, "--adapter", adapter, "--no-merge-adapter", "--dtype", "float32", "--task", "translate", "--data", table)
    flags = ("--head", "wait_k", "--threshold", 3)
    hashes = set()
    for name, given in (("with", where), ("without", (*where[:2], *where[5:]))):
        invoke("evaluate", *given, *flags, "--out", tmp_path / name)
        hashes.add(json.loads((tmp_path / name / "run.json").read_text())["model_hash"])
    assert len(hashes) == 2
    invoke("calibrate", *where, "--head", "entropy", "--target", "rco=0.8")
    assert not (base / "tiers.json").exists()
    assert loading.load(str(adapter), dtype="float32").tiers["translate"]["entropy"]["medium"].calibrated


def test_flags_that_exclude_each_other_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="no --out with --adapter"):
        invoke("calibrate", "--model", "m", "--adapter", "a", "--out", tmp_path, "--task", "t", "--data", "d.tsv")
    with pytest.raises(InvalidValueError, match="no --adapter with --server"):
        invoke("evaluate", "--server", "ws://127.0.0.1:9", "--adapter", "a", "--out", tmp_path, "--task", "t", "--data", "d.tsv")
    with pytest.raises(ValidationError, match="expected one model beside it, got 2"):
        ServerConfig(model=["a", "b"], adapter="c")


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_the_configurations_of_the_repository_are_valid(path: Path) -> None:
    assert read_config(path).run.out.parts[0] == "runs"


def test_accelerates_settings_are_what_they_say() -> None:
    found = load_config_from_file(str(CONFIGS / "fsdp.yaml"))
    assert (found.distributed_type.value, found.fsdp_config["fsdp_version"], found.fsdp_config["fsdp_state_dict_type"]) == (
        "FSDP",
        2,
        "FULL_STATE_DICT",
    )
