"""Whole runs on tiny models: they learn, resume to the same losses, stop at NaN, survive a full disk, and leave what a server loads."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from rich.console import Console
from transformers import AutoModelForCausalLM

from backbones import loading
from errors import CheckpointError, InvalidValueError, UnknownNameError
from tests import tiny
from training import data, state
from training.config import Config, read_config
from training.progress import read_metrics
from training.run import train
from training.trainer import Trainer, TrainingError

QUIET = Console(quiet=True)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "tie_word_embeddings": True,
}
TEMPLATE = {"before": "<|source|>", "source_end": "<|source_end|>", "header": "<|target|>", "end": "<|end|>"}
TASK = {"prompt": "", "gate": "word", "forbid_end_before_source_end": True}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(data, "WINDOW", 24)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    numbers = ("one\teins", "two\tzwei", "three\tdrei", "four\tvier", "five\tfünf", "six\tsechs")
    path = tmp_path / "pairs.tsv"
    both = [tuple(line.split("\t")) for line in numbers]
    path.write_text("\n".join(f"{a} {c} {a}\t{b} {d} {b}" for a, b in both for c, d in both), encoding="utf-8")
    return path


def config(out: Path, pairs: Path, **changes: Any) -> Config:
    """A fresh model for `pairs`; `changes` are laid over its sections."""
    plain: dict[str, Any] = {
        "model": {"fresh": {"vocabulary": 320, "sizes": SIZES}, "template": TEMPLATE, "name": "tiny"},
        "tasks": {"translate": TASK},
        "data": [{"data": str(pairs), "task": "translate", "join": [0.7, 0.3]}],
        "optimizer": {"lr": 1e-2},
        "run": {"out": str(out), "steps": 8, "batch_tokens": 300, "device": "cpu", "threads": 1, "accumulation": 2},
    }
    for section, values in changes.items():
        plain[section] = {**plain[section], **values} if isinstance(plain.get(section), dict) and values else values
    return Config.model_validate(plain)


def kill(run: Config, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs it, and kills it before the step after step `at`."""
    step = Trainer._one_step

    def killed(self: Trainer) -> None:
        if self._step == at:
            raise KeyboardInterrupt
        step(self)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_one_step", killed)
        with pytest.raises(KeyboardInterrupt):
            train(run, QUIET)


def losses(out: Path) -> list[float]:
    return [line["loss"] for line in read_metrics(out) if "loss" in line]


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_a_run_that_was_killed_goes_on_to_the_identical_losses(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    more = {
        "optimizer": {"name": name},
        "model": {"fresh": {"vocabulary": 320, "sizes": {**SIZES, "attention_dropout": 0.1}}, "template": TEMPLATE},
    }
    train(config(tmp_path / "whole", pairs, **more), QUIET)
    broken = config(tmp_path / "broken", pairs, run={"checkpoint_steps": 3}, **more)
    kill(broken, 5, monkeypatch)
    assert state.latest(tmp_path / "broken") == tmp_path / "broken" / "step-00000003"
    torch.manual_seed(99)  # another process
    train(broken, QUIET)
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    assert len(losses(tmp_path / "whole")) == 8
    weights = [state.read_tensors(tmp_path / run / "step-00000008" / "weights.safetensors") for run in ("whole", "broken")]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())


@pytest.mark.slow
def test_a_process_that_is_killed_at_any_moment_goes_on_to_the_identical_losses(tmp_path: Path, pairs: Path) -> None:
    def start(run: Config) -> subprocess.Popen[bytes]:
        ours = f"Config.model_validate_json({run.model_dump_json()!r})"
        code = f"from training.config import Config; from training.run import train; train({ours})"
        return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[2])

    steps = {"steps": 400, "checkpoint_steps": 20}
    whole, broken = (config(tmp_path / name, pairs, run=steps) for name in ("whole", "broken"))
    assert start(whole).wait() == 0
    for before in (40, 200):
        process = start(broken)
        while not (found := state.latest(tmp_path / "broken")) or found.name < f"step-{before:08d}":
            assert process.poll() is None
            sleep(0.01)
        process.kill()
        process.wait()
    assert len(losses(tmp_path / "broken")) < 400
    assert start(broken).wait() == 0
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")


def test_a_fresh_model_learns_and_is_served(tmp_path: Path, pairs: Path) -> None:
    dev = [{"data": str(pairs), "task": "translate", "limit": 8}]
    run = {"steps": 60, "dev_steps": 30, "accumulation": 1, "batch_tokens": 600}
    folder = train(config(tmp_path / "run", pairs, run=run, dev=dev), QUIET)
    found = losses(tmp_path / "run")
    assert sum(found[-5:]) < 0.6 * sum(found[:5])
    name = f"dev/translate:{pairs}/batch"
    judged = [line for line in read_metrics(tmp_path / "run") if name in line]
    assert [line["step"] for line in judged] == [30, 60]
    assert judged[1][name] < judged[0][name]
    checkpoint = loading.load(str(folder), dtype="float32")
    assert checkpoint.name == "tiny"
    assert checkpoint.config.tasks["translate"].gate == "word"
    assert checkpoint.tokenizer.decode(list(checkpoint.frame.end)) == "<|end|>"
    trained = state.read_tensors(tmp_path / "run" / "step-00000060" / "weights.safetensors")["model.model.norm.weight"]
    torch.testing.assert_close(checkpoint.backbone.model.model.norm.weight, trained.bfloat16().float(), atol=0, rtol=0)
    assert sorted((tmp_path / "run" / "tensorboard").iterdir())


def test_the_gradient_of_a_step_does_not_depend_on_how_it_is_cut_into_forwards(tmp_path: Path, pairs: Path) -> None:
    """Normalised by the tokens of the whole step, not forward by forward."""
    norms = []
    for name, run in (("one", {"accumulation": 1, "batch_tokens": 10_000}), ("many", {"accumulation": 24, "batch_tokens": 1})):
        one_window = config(tmp_path / name, pairs, run={**run, "steps": 1}, optimizer={"clip": 1e9})
        train(one_window, QUIET)
        (line,) = read_metrics(tmp_path / name)
        norms.append((line["norm"], line["loss"]))
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


def test_a_nan_loss_stops_the_run_names_the_batch_and_keeps_the_checkpoint(
    tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Trainer._one_step

    def poisoned(self: Trainer) -> None:
        if self._step == 4:
            with torch.no_grad():
                self._trainee.model.lm_head.weight[5] = float("nan")
        plain(self)

    monkeypatch.setattr(Trainer, "_one_step", poisoned)
    with pytest.raises(TrainingError, match=r"finite loss at step 5; got nan on the batch of pairs:\d+.*step-00000004, is from before"):
        train(config(tmp_path / "run", pairs, run={"checkpoint_steps": 2}), QUIET)
    kept = state.read_tensors(tmp_path / "run" / "step-00000004" / "weights.safetensors")
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())


def test_a_full_disk_in_mid_run_is_told_and_training_goes_on(tmp_path: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, said = state.save, Console(record=True, quiet=False, file=(tmp_path / "said").open("w"))
    full = {4}

    def save(out: Path, step: int, *rest: Any) -> Path:
        if step in full:
            raise CheckpointError("expected to write, got a full disk")
        return plain(out, step, *rest)

    monkeypatch.setattr(state, "save", save)
    folder = train(config(tmp_path / "run", pairs, run={"checkpoint_steps": 4}), said)
    said.file.close()
    assert "full disk" in (tmp_path / "said").read_text()
    assert folder.resolve().parent.name == "step-00000008"
    full.add(8)
    with pytest.raises(CheckpointError, match="full disk"):
        train(config(tmp_path / "other", pairs), QUIET)


def test_a_resume_with_another_configuration_is_refused_with_the_field_that_differs(tmp_path: Path, pairs: Path) -> None:
    train(config(tmp_path / "run", pairs, run={"steps": 1}), QUIET)
    with pytest.raises(InvalidValueError, match=r"another run.out; optimizer.lr: 0.5 now, 0.01 then"):
        train(config(tmp_path / "run", pairs, run={"steps": 1}, optimizer={"lr": 0.5}), QUIET)
    train(config(tmp_path / "run", pairs, run={"steps": 1, "log_steps": 3}), QUIET)  # how often it speaks may change
    pairs.write_text(pairs.read_text() + "\nnine\tneun")
    with pytest.raises(InvalidValueError, match=r"data_sha256\.0"):
        train(config(tmp_path / "run", pairs, run={"steps": 1}), QUIET)


def test_bad_rows_and_unknown_tasks_are_found_before_the_first_step(tmp_path: Path, pairs: Path) -> None:
    with pytest.raises(UnknownNameError, match="translate"):
        train(config(tmp_path / "a", pairs, data=[{"data": str(pairs), "task": "other"}]), QUIET)
    pairs.write_text(pairs.read_text() + "\n" + "long " * 200 + "\tlang")
    with pytest.raises(InvalidValueError, match=r"pairs\.tsv, pairs:37: expected source with its prompt within the model's 128 positions"):
        train(config(tmp_path / "b", pairs), QUIET)
    assert not (tmp_path / "b" / "metrics.jsonl").exists()


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A plain model folder."""
    known, folder = tiny.checkpoint(), tmp_path / "base"
    tiny.model("qwen2", attn="sdpa", vocab_size=len(known.tokenizer)).to(torch.bfloat16).save_pretrained(folder)
    known.tokenizer.save_pretrained(folder)
    tasks = {name: task.model_dump() for name, task in tiny.TASKS.items()}
    (folder / "proactivellm.json").write_text(json.dumps({"offset": 7, "tasks": tasks}))
    return folder


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # of peft, which is asked directly here
@pytest.mark.parametrize("merge", [False, True])
def test_adapters_are_trained_alone_and_written_as_peft_does_or_merged(tmp_path: Path, pairs: Path, base: Path, merge: bool) -> None:
    lora = {"r": 4, "alpha": 8, "merge": merge}
    changes = {"model": {"base": str(base), "fresh": None, "template": None}, "tasks": None, "lora": lora, "loss": {"views": 2}}
    rows = [{"data": str(pairs), "task": "echo"}]
    folder = train(config(tmp_path / "run", pairs, data=rows, optimizer={"lr": 1e-3}, **changes), QUIET)
    trained = state.read_tensors(folder.resolve().parent / "weights.safetensors")
    assert all("lora_" in name for name in trained)
    written = json.loads((folder / "proactivellm.json").read_text())
    assert written["offset"] == 7
    if merge:
        merged = loading.load(str(folder), dtype="float32").backbone.model
    else:
        from peft import PeftModel  # noqa: PLC0415 (slow to import)

        assert written["backbone"] == str(base)
        merged = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), folder).merge_and_unload()
    plain = loading.load(str(base), dtype="float32").backbone.model
    name = "model.layers.1.mlp.up_proj"
    down, up = (trained[f"model.{name}.lora_{side}.default.weight"].float() for side in "AB")
    expected = plain.get_submodule(name).weight + 2.0 * up @ down
    assert float(up.abs().max()) > 0
    torch.testing.assert_close(merged.get_submodule(name).weight, expected, atol=0.01, rtol=0.02)
    torch.testing.assert_close(merged.lm_head.weight, plain.lm_head.weight, atol=0, rtol=0)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapters_are_trained_on_in_a_second_stage(tmp_path: Path, pairs: Path, base: Path) -> None:
    rows = [{"data": str(pairs), "task": "echo"}]

    def stage(name: str, on: Path, r: int = 4, steps: int = 4, lr: float = 1e-2) -> Path:
        changes = {"model": {"base": str(on), "fresh": None, "template": None}, "tasks": None, "lora": {"r": r, "alpha": 8}}
        return train(config(tmp_path / name, pairs, data=rows, optimizer={"lr": lr}, run={"steps": steps}, **changes), QUIET)

    first = stage("first", base)
    before = state.read_tensors(first / "adapter_model.safetensors")
    after = state.read_tensors(stage("second", first, lr=1e-12) / "adapter_model.safetensors")
    assert max(float(tensor.abs().max()) for name, tensor in before.items() if "lora_B" in name) > 0.01
    for name, tensor in before.items():
        torch.testing.assert_close(after[name], tensor, atol=1e-5, rtol=0.01)
    assert json.loads((tmp_path / "second" / "model" / "adapter_config.json").read_text())["base_model_name_or_path"] == str(base)
    with pytest.raises(InvalidValueError, match=r"adapters, \(4, 8, .*got .*r=8"):
        stage("other", first, r=8)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_adapters_begin_at_the_layer_that_is_asked_for(tmp_path: Path, pairs: Path, base: Path) -> None:
    def run(name: str, first: int) -> Path:
        model, lora = {"base": str(base), "fresh": None, "template": None}, {"r": 4, "first_layer": first}
        made = config(tmp_path / name, pairs, data=[{"data": str(pairs), "task": "echo"}], model=model, tasks=None, lora=lora)
        return train(made, QUIET)

    written = state.read_tensors(run("upper", 1) / "adapter_model.safetensors")
    assert {name.split(".layers.")[1].split(".")[0] for name in written} == {"1", "2"}
    assert loading.load(str(tmp_path / "upper" / "model"), dtype="float32").backbone.model.config.num_hidden_layers == 3
    with pytest.raises(InvalidValueError, match=r"lora\.first_layer below the base's \d layers; got \d"):
        run("none", 3)


def test_a_configuration_is_refused_with_the_field_at_fault(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    for text, message in (
        ("model = ", "TOML"),
        (
            '[model]\nbase = "x"\n[[data]]\ndata = "d"\ntask = "t"\n[run]\nout = "o"',
            "run: Value error, expected either steps or max_tokens",
        ),
        ('[model]\n[[data]]\ndata = "d"\ntask = "t"\n[run]\nout = "o"\nsteps = 1', "model: Value error, expected either base or fresh"),
        ('[model]\nbase = "x"\nfoo = 1\n[[data]]\ndata = "d"\ntask = "t"\n[run]\nout = "o"\nsteps = 1', "model.foo"),
    ):
        path.write_text(text)
        with pytest.raises(InvalidValueError, match=message):
            read_config(path)
    with pytest.raises(InvalidValueError, match="missing"):
        read_config(tmp_path / "missing.toml")
    path.write_text('[model]\nbase = "x"\n[[data]]\ndata = "d"\ntask = "t"\n[loss]\nlambda = 0.5\n[run]\nout = "o"\nsteps = 1')
    assert read_config(path).loss.weight == 0.5
