"""H4's runs as training configurations: what differs between variants is the loss or the read budget, and nothing else.

Knows recipes; trains nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from claims.parts import GNOME, LOHELP, SQUAD, TATOEBA
from training.config import Config

# name -> sections that differ from plain + MSLM + SPSD with lambda 0.1 and Dirichlet budgets. Lambda 0 is `mslm`.
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"loss": {"mslm": False, "spsd": False}},
    "mslm": {"loss": {"spsd": False}},
    "spsd": {"loss": {"mslm": False}},
    "both": {},
    "paper": {"budget": {"scheme": "paper"}},
    "lambda-0.01": {"loss": {"lambda": 0.01}},
    "lambda-1": {"loss": {"lambda": 1.0}},
}
TEMPLATE = {"before": "<|source|>", "source_end": "<|source_end|>", "header": "<|target|>", "end": "<|end|>"}
TRANSLATE = {"prompt": "", "gate": "word", "forbid_end_before_source_end": True, "max_output_tokens": 96}
# 2.2M parameters.
SIZES = {
    "hidden_size": 160,
    "intermediate_size": 432,
    "num_hidden_layers": 5,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "max_position_embeddings": 512,
    "tie_word_embeddings": True,
}
ANSWER = {
    "prompt": "Answer the question from the passage in a few words, or reply: unknown.\n\nQuestion: {question}\n\nPassage:\n",
    "max_output_tokens": 32,
    "inputs": {"question": {"description": "the question to answer from the passage"}},
}


@dataclass(frozen=True)
class Recipe:
    """What all runs of a task share. `rows`: packed rows of a forward that holds a batch view and one stream view.

    plain_share: rows of a plain forward over those, so that a step has as many items: it packs one copy of the target less
    base:        of answering: what the adapters are added to
    """

    steps: int
    rows: int
    plain_share: float
    accumulation: int = 1
    base: str | None = None
    dtype: str = "auto"


RECIPES = {
    "translate": Recipe(steps=700, rows=2048, plain_share=2 / 3, dtype="bfloat16"),
    "answer": Recipe(steps=160, rows=1024, plain_share=0.98, base="checkpoints/smollm2", dtype="bfloat16"),
}


def configuration(task: str, variant: str, seed: int, recipe: Recipe, data: Path, out: Path, *, threads: int = 1) -> Config:
    """The run of one variant and seed. Raises KeyError for a variant that is not in VARIANTS."""
    rows = round(recipe.rows * (recipe.plain_share if variant == "plain" else 1))
    run = {
        "out": str(out),
        "seed": seed,
        "steps": recipe.steps,
        "batch_tokens": rows,
        "accumulation": recipe.accumulation,
        "checkpoint_minutes": 3,
        "keep": 1,
        "threads": threads,
        "dtype": recipe.dtype,
    }
    shared = _translation(data) if task == "translate" else _answering(recipe, data)
    return Config.model_validate({**shared, "run": run, **VARIANTS[variant]})


def _translation(data: Path) -> Mapping[str, Any]:
    joined = {TATOEBA: [0.6, 0.25, 0.15], LOHELP: [1.0], GNOME: [1.0]}
    return {
        "model": {"fresh": {"vocabulary": 4096, "sizes": SIZES}, "template": TEMPLATE, "name": "ablation-translate"},
        "tasks": {"translate": TRANSLATE},
        "data": [{"data": (name % "train").format(data=data), "task": "translate", "join": join} for name, join in joined.items()],
        "optimizer": {"name": "muon", "lr": 4e-3, "weight_decay": 0.05},
    }


def _answering(recipe: Recipe, data: Path) -> Mapping[str, Any]:
    references = {"needle:train:20000": 0.5, (SQUAD % "train").format(data=data): 0.5}
    return {
        "model": {"base": recipe.base, "name": "ablation-answer"},
        "tasks": {"answer": ANSWER},
        "lora": {"r": 16, "first_layer": 10},
        "data": [{"data": name, "task": "answer", "weight": weight} for name, weight in references.items()],
        "optimizer": {"lr": 8e-4},
    }
