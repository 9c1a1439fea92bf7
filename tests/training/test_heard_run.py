"""Whole runs on recordings: they learn, resume to the bit, leave a checkpoint that hears, and go on from one."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from pydantic import ValidationError

from backbones import loading
from backbones.audio_file import read
from backbones.audio_pcm import AudioFormat
from backbones.audio_weights import save_encoder
from engine.actions import AppendAudio, Done, End
from engine.engine import Engine, EngineConfig
from engine.request import Request
from errors import CheckpointError, InvalidValueError
from tests import tiny
from tests.backbones.audio import encoder
from tests.training import heard
from tests.training.processes import start
from tests.training.test_trainer import QUIET, TASK, TEMPLATE, kill, losses
from training import data, state
from training.config import Config
from training.progress import read_metrics
from training.run import train

SIZES = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
AUGMENTED = {"speed": [0.9, 1.1], "gain": [-3, 3], "noise": [10, 30]}


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(data, "WINDOW_HEARD", 16)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    save_encoder(encoder(tiny.ENCODER.model_copy(update={"projector": None})), tmp_path / "encoder")
    return heard.tones(tmp_path)


def config(out: Path, tones: Path, **changes: Any) -> Config:
    """A fresh model over a random encoder; `changes` are laid over its sections."""
    sizes = {**SIZES, "max_position_embeddings": 128, "tie_word_embeddings": True}
    plain: dict[str, Any] = {
        "model": {"fresh": {"vocabulary": 300, "sizes": sizes}, "template": TEMPLATE, "name": "tiny"},
        "audio": {"encoder": str(tones.parent / "encoder"), "projector": 24, "decision_ms": 80, "augmentation": AUGMENTED},
        "tasks": {"transcribe": TASK},
        "data": [{"data": str(tones), "task": "transcribe"}],
        "optimizer": {"lr": 1e-2},
        "run": {"out": str(out), "steps": 5, "batch_tokens": 300, "device": "cpu", "threads": 1, "dtype": "float32"},
    }
    for section, values in changes.items():
        plain[section] = {**plain[section], **values} if isinstance(plain.get(section), dict) and isinstance(values, dict) else values
    return Config.model_validate(plain)


def weights(out: Path) -> dict[str, torch.Tensor]:
    found = state.latest(out)
    assert found is not None
    return state.read_tensors(found / "weights.safetensors")


def test_a_run_that_was_killed_goes_on_to_the_identical_losses(tmp_path: Path, tones: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(config(tmp_path / "whole", tones), QUIET)
    broken = config(tmp_path / "broken", tones, run={"checkpoint_steps": 2})
    kill(broken, 3, monkeypatch)
    torch.manual_seed(99)  # another process
    train(broken, QUIET)
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    ours, theirs = weights(tmp_path / "broken"), weights(tmp_path / "whole")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_ctc_falls_beside_the_other_losses_and_goes_on_to_the_identical_losses(tmp_path: Path, tones: Path) -> None:
    loss, run = {"ctc": 0.3, "mslm": False, "spsd": False}, {"steps": 24, "batch_tokens": 500}
    made = config(tmp_path / "run", tones, run=run, loss=loss, audio={"augmentation": {}})
    folder = train(made, QUIET)
    lines = [line for line in read_metrics(tmp_path / "run") if "loss" in line]
    for line in lines:
        assert line["loss"] == pytest.approx(line["batch"] + 0.3 * line["ctc"], rel=1e-4)
    assert sum(line["ctc"] for line in lines[-3:]) < 0.8 * sum(line["ctc"] for line in lines[:3])
    assert loading.load(str(folder), dtype="float32").encoder is not None
    broken = config(tmp_path / "broken", tones, run={**run, "checkpoint_steps": 4}, loss=loss, audio={"augmentation": {}})
    with pytest.MonkeyPatch.context() as patch:
        kill(broken, 9, patch)
    train(broken, QUIET)
    assert losses(tmp_path / "broken") == losses(tmp_path / "run")


def test_ctc_alone_trains_the_encoder_and_leaves_the_backbone_alone(tmp_path: Path, tones: Path) -> None:
    loss = {"batch": False, "mslm": False, "spsd": False, "ctc": 1.0}
    run = {"steps": 24, "batch_tokens": 300, "checkpoint_steps": 1, "keep": 24}
    embedded = {"max_position_embeddings": 128, "tie_word_embeddings": True, "initializer_range": 0.3}  # as of a model that was trained
    model = {"fresh": {"vocabulary": 300, "sizes": {**SIZES, **embedded}}}
    train(config(tmp_path / "run", tones, run=run, loss=loss, audio={"augmentation": {}}, model=model), QUIET)
    found = losses(tmp_path / "run")
    assert sum(found[-3:]) < 0.8 * sum(found[:3])
    first, last = (state.read_tensors(tmp_path / "run" / f"step-{step:08d}" / "weights.safetensors") for step in (1, 24))
    changed = {name for name, tensor in first.items() if not torch.equal(tensor, last[name])}
    assert "encoder.conv1.weight" in changed
    assert all(name.startswith("encoder.") for name in changed)
    texts = tmp_path / "texts.jsonl"
    texts.write_text(json.dumps({"id": "1", "source": "a", "target": "b"}) + "\n", encoding="utf-8")
    both = [{"data": str(tones), "task": "transcribe"}, {"data": str(texts), "task": "transcribe"}]
    with pytest.raises(InvalidValueError, match=r"expected recordings where loss\.ctc and loss\.hindsight are the only losses"):
        train(config(tmp_path / "mixed", tones, loss=loss, data=both), QUIET)


def test_hindsight_alone_brings_the_encoder_to_its_teacher_and_trains_nothing_else(tmp_path: Path, tones: Path) -> None:
    loss = {"batch": False, "mslm": False, "spsd": False, "hindsight": 1.0}
    audio = {"teacher": str(tones.parent / "encoder"), "augmentation": {}}
    made = config(tmp_path / "run", tones, loss=loss, audio=audio, run={"steps": 24, "checkpoint_steps": 1, "keep": 24})
    folder = train(made, QUIET)
    found = losses(tmp_path / "run")
    assert sum(found[-3:]) < 0.8 * sum(found[:3])
    assert [line["hindsight"] for line in read_metrics(tmp_path / "run")] == pytest.approx(found)
    first, last = (state.read_tensors(tmp_path / "run" / f"step-{step:08d}" / "weights.safetensors") for step in (1, 24))
    changed = {name for name, tensor in first.items() if not torch.equal(tensor, last[name])}
    assert "encoder.layers.0.qkv.weight" in changed
    assert all(name.startswith("encoder.") and not name.startswith("encoder.projector.") for name in changed)
    assert loading.load(str(folder), dtype="float32").encoder is not None
    broken = config(tmp_path / "broken", tones, loss=loss, audio=audio, run={"steps": 24, "checkpoint_steps": 4})
    with pytest.MonkeyPatch.context() as patch:
        kill(broken, 9, patch)
    train(broken, QUIET)
    assert losses(tmp_path / "broken") == found


def test_hindsight_beside_the_other_losses(tmp_path: Path, tones: Path) -> None:
    audio = {"teacher": str(tones.parent / "encoder")}
    train(config(tmp_path / "run", tones, loss={"ctc": 0.3, "hindsight": 0.1}, audio=audio, run={"steps": 2}), QUIET)
    for line in read_metrics(tmp_path / "run"):
        parts = line["batch"] + line["mslm"] + 0.1 * line["spsd"] + 0.3 * line["ctc"] + 0.1 * line["hindsight"]
        assert line["hindsight"] > 0
        assert line["loss"] == pytest.approx(parts, rel=1e-4)


def test_a_teacher_must_fit_and_must_be_asked(tmp_path: Path, tones: Path) -> None:
    wider = tiny.ENCODER.model_copy(update={"projector": None, "width": 2 * tiny.ENCODER.width})
    save_encoder(encoder(wider), tmp_path / "wider")
    with pytest.raises(InvalidValueError, match="expected a teacher with the encoder's bins, width, pool and mel_floor"):
        train(config(tmp_path / "run", tones, loss={"hindsight": 1.0}, audio={"teacher": str(tmp_path / "wider")}), QUIET)
    for changes in ({"loss": {"hindsight": 1.0}}, {"audio": {"teacher": str(tones.parent / "encoder")}}):
        with pytest.raises(ValidationError, match=r"expected loss\.hindsight and audio\.teacher together"):
            config(tmp_path / "run", tones, **changes)
    with pytest.raises(ValidationError, match=r"expected audio\.train = 'all' with loss\.hindsight"):
        config(tmp_path / "run", tones, loss={"hindsight": 1.0}, audio={"teacher": str(tones.parent / "encoder"), "train": "projector"})


def test_blocks_go_with_the_encoder_and_must_fit_it(tmp_path: Path, tones: Path) -> None:
    folder = train(config(tmp_path / "run", tones, audio={"block_ms": 80}, run={"steps": 1}), QUIET)
    made = loading.load(str(folder), dtype="float32").encoder
    assert made is not None
    assert made.config.block == 4
    for block_ms, told in ((60, "block of whole tokens"), (320, "fit into decision_ms = 80; got 320 ms")):
        with pytest.raises(InvalidValueError, match=told) as refused:
            train(config(tmp_path / "odd", tones, audio={"block_ms": block_ms}), QUIET)
        assert refused.value.param == "audio.block_ms"
    settings = folder / "proactivellm.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"decision_ms": 440}))
    with pytest.raises(CheckpointError, match="multiple of the encoder's blocks of 80 ms, got 440"):
        loading.load(str(folder), dtype="float32")


def test_it_learns_to_write_what_it_hears_and_is_served(tmp_path: Path, tones: Path) -> None:
    run = {"steps": 24, "dev_steps": 12, "batch_tokens": 500}
    dev = [{"data": str(tones), "task": "transcribe", "limit": 4}]
    folder = train(config(tmp_path / "run", tones, run=run, dev=dev, audio={"augmentation": {}}), QUIET)
    found = losses(tmp_path / "run")
    assert sum(found[-3:]) < 0.6 * sum(found[:3])
    name = f"dev/transcribe:{tones}/stream"
    judged = [line[name] for line in read_metrics(tmp_path / "run") if name in line]
    assert len(judged) == 2
    assert judged[1] < judged[0]
    checkpoint = loading.load(str(folder), dtype="float32")
    assert checkpoint.encoder is not None
    assert (checkpoint.config.unit, checkpoint.config.decision_ms, checkpoint.config.audio) == ("ms", 80, None)
    assert load_dtype(folder) == torch.float16
    rows = [json.loads(line) for line in tones.read_text(encoding="utf-8").splitlines()]
    engine = Engine(checkpoint, EngineConfig(kv_memory=2**22, slot_length=96))
    said = [transcribed(engine, tones.parent / row["audio"]).split() for row in rows]
    assert all(words and set(words) <= set(heard.TONES) for words in said)  # a model of these sizes says nothing else by chance


def load_dtype(folder: Path) -> torch.dtype:
    return state.read_tensors(folder / "audio_encoder.safetensors")["conv1.weight"].dtype


def transcribed(engine: Engine, path: Path, task: str = "transcribe", inputs: dict[str, str] | None = None) -> str:
    """By a real session that ends well, everything read first."""
    sound = AudioFormat("float32", heard.RATE)
    request = Request(task, inputs=inputs or {}, head="full", threshold=0.0, audio=sound, max_output_tokens=8)
    done = tiny.run(engine, request, [AppendAudio(read(path).numpy().tobytes()), End()])[-1]
    assert isinstance(done, Done)
    return done.text.strip()


def test_ctc_alone_on_an_adapters_base_goes_on_to_the_identical_losses(tmp_path: Path, tones: Path) -> None:
    """The adapter never has a gradient, so its optimizer has no state to go on from."""
    base = train(config(tmp_path / "base", tones, run={"steps": 1}), QUIET)
    changes: dict[str, Any] = {
        "model": {"base": str(base), "fresh": None, "template": None},
        "lora": {"r": 4},
        "loss": {"batch": False, "mslm": False, "spsd": False, "ctc": 1.0},
    }
    train(config(tmp_path / "whole", tones, **changes), QUIET)
    broken = config(tmp_path / "broken", tones, run={"checkpoint_steps": 2}, **changes)
    with pytest.MonkeyPatch.context() as patch:
        kill(broken, 3, patch)
    train(broken, QUIET)
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")


def test_only_the_projector_learns_where_that_is_asked_for(tmp_path: Path, tones: Path) -> None:
    train(config(tmp_path / "run", tones, audio={"train": "projector"}, run={"steps": 2}), QUIET)
    assert {name.split(".")[1] for name in weights(tmp_path / "run") if name.startswith("encoder.")} == {"projector"}
    train(config(tmp_path / "all", tones, run={"steps": 2}, audio={"lr": 0.1}), QUIET)
    before = encoder(tiny.ENCODER.model_copy(update={"projector": None})).state_dict()
    after = weights(tmp_path / "all")
    assert "encoder.embed_positions.weight" not in after
    moved = {name: float((after[f"encoder.{name}"] - before[name]).abs().max()) for name in ("conv1.weight", "layers.1.fc2.weight")}
    assert all(0 < change < 2.5 * 2 * 1e-3 for change in moved.values())  # two steps of AdamW at a tenth of the rate


def test_a_later_stage_goes_on_with_the_bases_own_encoder(tmp_path: Path, tones: Path) -> None:
    first = train(config(tmp_path / "first", tones, run={"steps": 2}, audio={"dtype": "float32"}), QUIET)
    second = config(tmp_path / "second", tones, run={"steps": 1, "shard_size": "20KB"})
    later = Config.model_validate(
        {**second.model_dump(mode="json", by_alias=True), "model": {"base": str(first), "layers": 1, "vocabulary": 262}, "audio": None}
    )
    folder = train(later, QUIET)
    assert (folder / "audio_encoder.safetensors.index.json").exists()
    sizes = [path.stat().st_size for path in folder.glob("audio_encoder-*.safetensors")]
    assert len(sizes) > 1
    assert max(sizes) < 22_000
    checkpoint = loading.load(str(folder), dtype="float32")
    assert checkpoint.encoder is not None
    assert checkpoint.config.decision_ms == 80
    assert len(checkpoint.backbone.model.model.layers) == 1
    assert checkpoint.backbone.vocab_size == 262
    was = state.read_tensors(first / "audio_encoder.safetensors")["conv1.weight"]
    assert 0 < (checkpoint.encoder.conv1.weight - was).abs().max() < 0.03  # one step at 1e-2


def test_adapters_on_a_model_of_text_learn_to_answer_what_they_hear(tmp_path: Path, tones: Path) -> None:
    """A question in the prompt; CTC alone on what is said, then the losses on mixtures of embeddings; the base's weights stay."""
    words = ("the dog sat down", "a bird sang", "what did I hear")
    texts = tmp_path / "texts.jsonl"
    lines = [json.dumps({"id": str(i), "source": text, "target": text}) for i, text in enumerate(words)]
    texts.write_text("\n".join(lines), encoding="utf-8")
    reading = config(tmp_path / "text", tones, data=[{"data": str(texts), "task": "transcribe"}], run={"steps": 1}, audio=None)
    base = train(reading, QUIET)

    rows = [json.loads(line) for line in tones.read_text(encoding="utf-8").splitlines()]
    asked = tones.parent / "asked.jsonl"
    asked.write_text("\n".join(json.dumps({**row, "inputs": {"question": "what did I hear"}}) for row in rows), encoding="utf-8")
    tasks = {
        "transcribe": TASK,
        "spoken_answer": {**TASK, "prompt": "{question}", "inputs": {"question": {"description": "what to answer"}}},
    }
    shared = {"tasks": tasks, "lora": {"r": 4, "alpha": 8}, "model": {"base": str(base), "fresh": None, "template": None}}
    loss = {"batch": False, "mslm": False, "spsd": False, "ctc": 1.0}
    hearing = train(config(tmp_path / "hearing", tones, loss=loss, **shared), QUIET)
    shared["model"] = {**shared["model"], "base": str(hearing)}
    answering = config(
        tmp_path / "answering",
        tones,
        data=[{"data": str(asked), "task": "spoken_answer"}],
        run={"steps": 40},
        optimizer={"lr": 3e-2},
        **{**shared, "audio": {"encoder": None, "posteriors": True}},
    )
    folder = train(answering, QUIET)
    found = losses(tmp_path / "answering")
    assert sum(found[-3:]) < 0.97 * sum(found[:3])

    checkpoint = loading.load(str(folder), dtype="float32")
    assert (Path(checkpoint.weights).resolve(), checkpoint.adapter) == (base.resolve(), str(folder))
    assert checkpoint.encoder is not None
    assert checkpoint.encoder.vocabulary is not None
    embedded = checkpoint.backbone.model.get_input_embeddings().weight
    assert torch.equal(checkpoint.encoder.vocabulary.embeddings, embedded)
    assert torch.equal(checkpoint.encoder.vocabulary.head, embedded)  # shared by this base
    heard_before = loading.load(str(hearing), dtype="float32").encoder
    assert heard_before is not None
    assert heard_before.vocabulary is None
    engine = Engine(checkpoint, EngineConfig(kv_memory=2**22, slot_length=96))
    transcribed(engine, tones.parent / rows[0]["audio"], "spoken_answer", {"question": "what did I hear"})


def test_blanks_are_left_out_where_that_is_asked_for_and_stay_so(tmp_path: Path, tones: Path) -> None:
    hears = {"posteriors": True, "compress": True}
    base = train(config(tmp_path / "run", tones, audio=hears, loss={"ctc": 0.3, "blank": 200}), QUIET)
    shared = {"model": {"base": str(base), "fresh": None, "template": None}, "run": {"steps": 2}}
    on = train(config(tmp_path / "on", tones, audio=None, **shared), QUIET)
    checkpoint = loading.load(str(on), dtype="float32")
    assert checkpoint.encoder is not None
    assert checkpoint.encoder.vocabulary is not None
    assert checkpoint.encoder.vocabulary.blank == 200
    row = json.loads(tones.read_text(encoding="utf-8").splitlines()[0])
    transcribed(Engine(checkpoint, EngineConfig(kv_memory=2**22, slot_length=96)), tones.parent / row["audio"])
    off = train(config(tmp_path / "off", tones, audio={"encoder": None, "compress": False}, **shared), QUIET)
    encoder = loading.load(str(off), dtype="float32").encoder
    assert encoder is not None
    assert (encoder.config.posteriors, encoder.config.blank) == (True, None)
    with pytest.raises(InvalidValueError, match=r"expected blank in \[loss\]"):
        train(config(tmp_path / "a", tones, audio=hears), QUIET)
    with pytest.raises(InvalidValueError, match="expected posteriors with compress"):
        train(config(tmp_path / "b", tones, audio={"compress": True}, loss={"blank": 200}), QUIET)
    with pytest.raises(InvalidValueError, match="expected one of the 267 tokens as the blank that is left out; got 300"):
        train(config(tmp_path / "c", tones, audio=hears, loss={"blank": 300}), QUIET)
    for blank in (None, 201):
        with pytest.raises(InvalidValueError, match=rf"expected blank = 200 in \[loss\], which the base leaves out; got {blank}"):
            train(config(tmp_path / "d", tones, audio=None, loss={"ctc": 0.3, "blank": blank}, **shared), QUIET)
    smaller = {**shared, "model": {**shared["model"], "vocabulary": 260}}
    with pytest.raises(InvalidValueError, match="expected compress and blank anew with a vocabulary"):
        train(config(tmp_path / "e", tones, audio=None, **smaller), QUIET)
    mixed = train(config(tmp_path / "f", tones, audio={"encoder": None, "posteriors": False}, **shared), QUIET)
    encoder = loading.load(str(mixed), dtype="float32").encoder
    assert encoder is not None
    assert (encoder.config.posteriors, encoder.config.blank) == (False, None)


def test_what_cannot_be_trained_is_refused(tmp_path: Path, tones: Path) -> None:
    plain = config(tmp_path / "run", tones).model_dump(mode="json", by_alias=True)
    for of_texts in ({"join": [0.5, 0.5]}, {"carried": 0.5}, {"max_words": 9}):
        asked = Config.model_validate({**plain, "data": [{**plain["data"][0], **of_texts}]})
        with pytest.raises(InvalidValueError, match="none of join, carried and max_words for recordings"):
            train(asked, QUIET)
    deaf = Config.model_validate({**plain, "audio": None})
    with pytest.raises(InvalidValueError, match=r"tones\.jsonl, tones:1: expected a base that hears"):
        train(deaf, QUIET)
    weighed = {"tasks": {"transcribe": {"prompt": "", "forbid_end_before_source_end": True, "ctc_weight": 0.3}}}
    for changes in ({"audio": None}, {"audio": {**plain["audio"], "posteriors": True}}, {"loss": {"ctc": 0.3, "blank": 9}}):
        with pytest.raises(InvalidValueError, match="expected an encoder without posteriors, and the end token as CTC's blank"):
            train(Config.model_validate({**plain, **weighed, **changes}), QUIET)
    nothing = Config.model_validate({**plain, "audio": {}})
    with pytest.raises(InvalidValueError, match="expected an encoder for a base that does not hear"):
        train(nothing, QUIET)
    (tones.parent / "3.wav").unlink()
    with pytest.raises(InvalidValueError, match=r"recording that can be read; got .*3\.wav"):
        train(config(tmp_path / "other", tones), QUIET)
    for name in ("layers", "vocabulary"):
        with pytest.raises(ValidationError, match=rf"expected model\.{name} with a base whose weights are written"):
            Config.model_validate({**plain, "model": {**plain["model"], name: 1}})


ALONE = {"batch": False, "mslm": False, "spsd": False}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "loss", [{"hindsight": 0.1, "ctc": 0.3}, {**ALONE, "hindsight": 1.0}, {**ALONE, "ctc": 1.0}], ids=["all", "hindsight", "ctc"]
)
def test_two_processes_hear_as_one(tmp_path: Path, tones: Path, loss: dict[str, Any]) -> None:
    """Data-parallel waits for the gradient of all that learns: what no loss reaches must not."""
    audio = {"teacher": str(tones.parent / "encoder")} if "hindsight" in loss else {}
    for name, each in (("one", 4), ("two", 2)):
        made = config(tmp_path / name, tones, loss=loss, audio={**audio, "augmentation": {}}, run={"steps": 3, "accumulation": each})
        start(made, tmp_path / f"{name}.json", count=2 if name == "two" else 1)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
