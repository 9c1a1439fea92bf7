"""A folder in which the pages' commands find the files that they name, all tiny and made, and a server with tiny models. Knows no test."""

import gzip
import json
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from proactivellm_client.sync import connect

import heads
from backbones.loading import load
from tests.backbones.test_adapters import write
from tests.backbones.test_loading import hearing, save
from tests.docs.pages import ROOT, blocks
from tests.server.live import Live, wait_until

MODELS = (
    "path/to/model",
    "checkpoints/smollm2",
    "checkpoints/mine",
    "checkpoints/translate-en-de",
    "checkpoints/answer",
    "Qwen/Qwen2.5-3B-Instruct",
)
TIERS = {name: {"threshold": value, "calibrated": False} for name, value in (("low", 0.1), ("medium", 0.4), ("high", 0.9))}
SETTINGS: dict[str, Any] = {
    "tasks": {
        "translate": {"prompt": "Again: ", "gate": "word", "forbid_end_before_source_end": True, "max_output_tokens": 6},
        "answer": {"prompt": "{question} ", "inputs": {"question": {}}, "max_output_tokens": 6},
    },
}
PAIRS = [f"{who} sat down {where}.\t{who} {where}." for who in ("The dog", "One cat", "A bird", "She") for where in ("here", "there")] * 5
TRAINING = """
[model]
base = "path/to/model"
[lora]
r = 2
[[data]]
data = "data/train.csv"
task = "translate"
[run]
out = "runs/qwen2.5-3b"
steps = 1
batch_tokens = 200
device = "cpu"
threads = 1
"""


def fill(folder: Path) -> None:
    """Models, data, texts and certificates under the names that the pages use."""
    first = folder / MODELS[0]
    save(first)
    (first / "proactivellm.json").write_text(json.dumps(SETTINGS))
    (first / "tiers.json").write_text(json.dumps({task: dict.fromkeys(("entropy", "attention"), TIERS) for task in SETTINGS["tasks"]}))
    for name in MODELS[1:]:
        (folder / name).mkdir(parents=True)
        for file in first.iterdir():
            (folder / name / file.name).write_bytes(file.read_bytes())
    hearing(folder / "checkpoints/transcribe-en", {"unit": "ms", "tasks": {"transcribe": {"prompt": "", "max_output_tokens": 6}}})
    ears = folder / "checkpoints/spoken-answer"
    ears.mkdir()
    spoken = {"spoken_answer": SETTINGS["tasks"]["answer"]}
    (ears / "proactivellm.json").write_text(
        json.dumps({"backbone": "../answer", "listener": "../transcribe-en", "unit": "ms", "tasks": spoken})
    )
    write(folder / "path/to/adapter")
    write(folder / "runs/mine/model")
    (folder / "runs/mine/model/proactivellm.json").write_text(json.dumps({**SETTINGS, "backbone": str(first)}))
    (folder / "text.txt").write_text("The dog sleeps under the table.\n")
    (folder / "talk.txt").write_text("The dog sat down. " * 15)
    (folder / "test.tsv").write_text("".join(f"{pair}\n" for pair in PAIRS))
    (folder / "dev.tsv.gz").write_bytes(gzip.compress((folder / "test.tsv").read_bytes()))
    asked = {"source": "The dog sat down.", "target": "The dog", "inputs": {"question": "Who sat down?"}}
    (folder / "answers.jsonl").write_text(f"{json.dumps(asked)}\n" * 2)
    (folder / "data").mkdir()
    table = "\n".join(["source,target", *PAIRS]).replace("\t", ",")
    for name in ("train", "dev"):
        (folder / "data" / f"{name}.csv").write_text(table)
    (folder / "configs").mkdir()
    (folder / "configs/qwen2.5-3b.toml").write_text(TRAINING)
    certificate = trustme.CA().issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")


def package(folder: Path) -> None:
    """Installs the package of docs/heads.md: its module, and the entry points that its pyproject.toml asks for."""
    module, project = (next(b for b in blocks(ROOT / "docs/heads.md") if b.language == language) for language in ("python", "toml"))
    settings = tomllib.loads(project.text)["project"]
    info = folder / f"{settings['name']}-{settings['version']}.dist-info"
    info.mkdir(parents=True)
    (folder / f"{settings['name']}.py").write_text(module.text)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {settings['name']}\nVersion: {settings['version']}\n")
    entries = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in names.items())
        for group, names in settings["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("".join(entries))


@contextmanager
def opened(folder: Path) -> Iterator[Live]:
    """The folder filled and entered, the head of docs/heads.md installed, a server on one of the models, and a recorded session."""
    fill(folder)
    package(folder / "packages")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder / "packages")
        heads.known.cache_clear()
        checkpoint = load(MODELS[0], dtype="float32")
        memory = 8 * 256 * checkpoint.backbone.shape.bytes_per_row() + 4096
        with Live(lambda *_: checkpoint, kv_memory=memory, slot_length=256, record=folder / "recordings") as live:
            wait_until(lambda: live.worker.ready)
            with connect(address(live)).session(task="translate", tier="low") as session:
                session.send("The dog sat ")
                session.end()
                session.text()
            yield live
    heads.known.cache_clear()


def address(live: Live) -> str:
    """What clients are given."""
    return f"ws://127.0.0.1:{live.port}"
