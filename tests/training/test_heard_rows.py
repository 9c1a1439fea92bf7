"""What is trained on recordings is what is served: the probes of a session that hears are the packed stream view's rows."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.actions import AppendAudio, End, Message
from engine.request import Request
from errors import InvalidValueError
from tasks.example import Example
from tests import tiny
from tests.backbones.audio import encoder as random_encoder
from tests.training import examples, heard
from tests.training.test_served_rows import TOLERANCE, Probed, offline, serve
from training.encoding import Encoder, Item
from training.objective import PackedModel
from training.views import collate, pack, without

EVERY = 10


def encoder(every: int = EVERY) -> Encoder:
    """Of the tiny hearing checkpoint."""
    whole = tiny.hearing()
    return Encoder(whole.tokenizer, whole.config, 512, heard.sounds(every))


PLAIN: dict[str, Any] = {}
MIXED: dict[str, Any] = {"posteriors": True}
COMPRESSED: dict[str, Any] = {"posteriors": True, "blank": tiny.BLANK}
BLOCKS: dict[str, Any] = {"block": 2 * EVERY}


def model(**way: Any) -> PackedModel:
    """The tiny hearing checkpoint's weights, as they are trained: what is heard is mixed by the model in training, by the encoder else."""
    whole = tiny.hearing(**way).encoder
    assert whole is not None
    return PackedModel(offline("qwen2").model, random_encoder(whole.config))


def messages(pcm: bytes, rng: Random) -> list[Message]:
    """The samples cut anywhere, then the end."""
    cuts = sorted({0, len(pcm), *(2 * rng.randint(0, len(pcm) // 2) for _ in range(rng.randint(0, 12)))})
    return [*(AppendAudio(pcm[start:end]) for start, end in pairwise(cuts)), End()]


def units_read(session: Any) -> int:
    """Whole decision units in the slot, or one more than there are once the source has ended."""
    return session.visible // EVERY + bool(session.controller.source_ended)


def trained(of: Item, written: list[int], probed: list[Probed], way: dict[str, Any]) -> torch.Tensor:
    """[probes, V] as test_served_rows.trained gives them."""
    target = np.array([*written, 0])
    whole = Item(
        of.id, of.source, of.prefix, of.units, of.count, of.header, target, np.ones(len(target), bool), forbid_end=False, mel=of.mel
    )
    phis = [np.array([*probe.committed, *[probe.phi] * (len(target) - len(probe.committed))]) for probe in probed]
    with torch.inference_mode():
        logits = model(**way)(collate([pack(whole, phis, batch_view=False, offset=0)])).logits
    return logits[range(len(probed)), [probe.index for probe in probed]]


def compared(folder: Path, seed: int, task: str, way: dict[str, Any]) -> tuple[Item, list[int], list[Probed]]:
    rng = Random(seed)
    samples = heard.noise(rng.randint(1, 48_000), seed)
    path = folder / "heard.wav"
    soundfile.write(path, samples, 16_000, subtype="PCM_16")
    pcm = soundfile.read(path, dtype="int16")[0].tobytes()
    request = Request(task, head="entropy", threshold=0.5, audio=tiny.AUDIO)
    session, probed, _ = serve(tiny.hearing_engine(slots=2, **way), request, messages(pcm, rng), rng, units_read)
    item = encoder().encode(Example("heard", "", ("-",), audio=path), tiny.HEARING[task], "here")
    return item, list(session.rows.target[len(session._frame.header) :]), probed


@pytest.mark.parametrize(
    ("task", "way"),
    [("listen", PLAIN), ("listen", MIXED), ("listen", COMPRESSED), ("late", PLAIN), ("late", COMPRESSED), ("listen", BLOCKS)],
)
@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_servers_probes_are_the_packed_stream_views_rows(
    tmp_path_factory: pytest.TempPathFactory, task: str, way: dict[str, Any], seed: int
) -> None:
    item, written, probed = compared(tmp_path_factory.mktemp("heard"), seed, task, way)
    assert probed
    for probe in probed:
        rows = item.rows(np.array([probe.phi]))[0]
        assert probe.visible <= rows if way is COMPRESSED else probe.visible == rows
    served = torch.stack([probe.logits for probe in probed])
    torch.testing.assert_close(trained(item, written, probed, way), served, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(("way", "other"), [(PLAIN, MIXED), (MIXED, COMPRESSED), (COMPRESSED, MIXED)])
def test_the_proof_can_fail(tmp_path: Path, way: dict[str, Any], other: dict[str, Any]) -> None:
    """Other frames, or the other way of hearing, and the logits are off by far more than the tolerance."""
    item, written, probed = compared(tmp_path, 3, "listen", way)
    assert item.mel is not None
    assert (probed[-1].visible < len(item.source)) == (way is COMPRESSED)
    wrong = replace(item, mel=item.mel + np.float32(0.5))
    served = torch.stack([probe.logits for probe in probed])
    assert (trained(wrong, written, probed, way) - served).abs().max() > 50 * TOLERANCE
    assert (trained(item, written, probed, other) - served).abs().max() > 50 * TOLERANCE


def test_text_and_recordings_share_a_batch(tmp_path: Path) -> None:
    """Each as it is alone."""
    heard.write(tmp_path / "a.wav", heard.noise(20_000))
    heard.write(tmp_path / "b.wav", heard.noise(9_000, 1))
    rows = [Example(name, "", ("the dog",), audio=tmp_path / f"{name}.wav") for name in "ab"]
    rows.insert(1, Example("text", "the dog sat down.", ("the cat",)))
    items = [encoder().encode(row, tiny.HEARING["listen"], "here") for row in rows]
    packed = [pack(item, [np.full(len(item.target), 1)], batch_view=True, offset=0) for item in items]
    with torch.inference_mode():
        together = model()(collate(packed)).logits
        alone = torch.cat([model()(collate([one])).logits for one in packed], dim=1)
    torch.testing.assert_close(together, alone, atol=TOLERANCE, rtol=0)


def test_ctc_is_of_what_is_said_and_not_of_the_answer_to_it(tmp_path: Path) -> None:
    path = heard.write(tmp_path / "a.wav", heard.noise(20_000))
    plain = Example("a", "", ("the dog",), audio=path)
    items = [encoder().encode(row, tiny.HEARING["listen"], "here") for row in (plain, replace(plain, said="the cat sat"))]
    batch = collate([pack(item, [np.full(len(item.target), 1)], batch_view=True, offset=0) for item in items])
    spelled = encoder().encode(replace(plain, references=("the cat sat",)), tiny.HEARING["listen"], "here").target
    assert batch.labels.tolist() == [*items[0].target, *items[0].target]
    assert batch.said.tolist() == [*items[0].target, *spelled]
    assert batch.spelled == (len(items[0].target), len(spelled))


@pytest.mark.parametrize(
    ("said", "fault"), [(" ", "expected what is said in a recording; got none"), ("a\ud800", "without lone surrogates")]
)
def test_what_is_said_must_be_text(tmp_path: Path, said: str, fault: str) -> None:
    row = Example("a", "", ("x",), audio=heard.write(tmp_path / "a.wav", heard.noise(1600)), said=said)
    for refused in (encoder().check, encoder().encode):
        with pytest.raises(InvalidValueError, match=f"here, a: .*{fault}"):
            refused(row, tiny.HEARING["listen"], "here")


def test_what_is_kept_of_the_last_part_of_a_unit_comes_with_the_source_end(tmp_path: Path) -> None:
    """So a prediction that sees it sees the whole source, as at the server's forced decisions there."""
    path = heard.write(tmp_path / "a.wav", heard.noise(20_000))
    item = encoder().encode(Example("a", "", ("the dog",), audio=path), tiny.HEARING["listen"], "here")
    assert item.units[-1] == item.count
    batch = collate([pack(item, [np.full(len(item.target), 1)], batch_view=False, offset=0)])
    kept = torch.arange(len(item.units)) == len(item.units) - 1
    found = without(batch, kept)
    assert set(found.limit[found.copy > 0].tolist()) == {len(item.source) - len(item.units) + 1}


def test_both_halves_learn(tmp_path: Path) -> None:
    """Gradients reach the encoder through the stream view, and none through tokens that it may not see."""
    path = heard.write(tmp_path / "a.wav", heard.noise(32_000))
    item = encoder().encode(Example("a", "", ("the dog",), audio=path), tiny.HEARING["listen"], "here")
    assert item.mel is not None
    mel = torch.from_numpy(item.mel).requires_grad_(True)
    view = collate([pack(item, [np.full(len(item.target), 2)], batch_view=False, offset=0)])
    own = tiny.model("qwen2", attn="sdpa", vocab_size=len(tiny.hearing().tokenizer))  # not one that inference has been through
    logits = PackedModel(own, random_encoder(tiny.ENCODER))(replace(view, mels=(mel,))).logits
    logits.square().sum().backward()
    assert mel.grad is not None
    seen = 4 * 2 * EVERY + 3  # frames of 20 tokens, and what the last of them waits for
    assert mel.grad[: seen - 8].abs().sum() > 0
    assert mel.grad[seen:].abs().sum() == 0


def test_a_recording_needs_a_model_that_hears(tmp_path: Path) -> None:
    path = heard.write(tmp_path / "a.wav", heard.noise(1600))
    with pytest.raises(InvalidValueError, match=r"here, a: expected a base that hears"):
        examples.encoder().check(Example("a", "", ("x",), audio=path), tiny.HEARING["listen"], "here")


def test_a_recording_beyond_the_models_positions_is_refused_by_its_header(tmp_path: Path) -> None:
    path = heard.write(tmp_path / "a.wav", heard.noise(16_000 * 21))
    with pytest.raises(InvalidValueError, match=r"here, a: expected source with its prompt within the model's 512 positions; got 5\d\d"):
        encoder().check(Example("a", "", ("x",), audio=path), tiny.HEARING["listen"], "here")
