"""The two models that are measured: SmolLM2-135M, and random weights in Qwen2.5-0.5B's shape. Knows no benchmark."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from transformers import AutoModelForCausalLM, Qwen2Config

from backbones.loading import load

SMOLLM2 = "checkpoints/smollm2"
# Eight pairs over eight layers: what a selection looks like, and more work than eight heads of one layer.
PAIRS = 8

QWEN_SHAPE = Qwen2Config(
    vocab_size=151_936,
    hidden_size=896,
    intermediate_size=4864,
    num_hidden_layers=24,
    num_attention_heads=14,
    num_key_value_heads=2,
    max_position_embeddings=32_768,
    rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
    tie_word_embeddings=True,
)


@contextmanager
def folders(names: list[str]) -> Iterator[dict[str, Path]]:
    """Checkpoint folders by name; the random one is written for as long as the benchmark runs."""
    with TemporaryDirectory() as made:
        found = {}
        for name in names:
            found[name] = Path(made) / name
            found[name].mkdir()
            if name == "smollm2":
                _copy_with_pairs(Path(SMOLLM2), found[name])
            else:
                _random_qwen(found[name])
        yield found


def _copy_with_pairs(source: Path, folder: Path) -> None:
    config = json.loads((source / "proactivellm.json").read_text())
    config["attention_heads"] = [[3 * i + 4, i] for i in range(PAIRS)]
    (folder / "proactivellm.json").write_text(json.dumps(config))


def _random_qwen(folder: Path) -> None:
    """With SmolLM2's tokenizer: two thirds of the ids have no text, which makes the texts short but no step cheaper."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(QWEN_SHAPE, dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    load(SMOLLM2).tokenizer.save_pretrained(folder)
    pairs = [[2 * i + 4, i] for i in range(PAIRS)]
    (folder / "proactivellm.json").write_text(json.dumps({"name": folder.name, "attention_heads": pairs}))


def plain(folder: Path, dtype: str = "bfloat16") -> Any:
    """The same weights behind transformers' own attention and cache."""
    weights = load(str(folder), dtype="float32").backbone.model
    config = deepcopy(weights.config)  # from_config writes the attention's name into what it is given
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=getattr(torch, dtype))  # type: ignore[no-untyped-call]
    model.load_state_dict(weights.state_dict())
    return model.eval().requires_grad_(False)
