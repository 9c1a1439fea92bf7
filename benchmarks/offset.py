"""Perplexity of a backbone's targets against the offset of the target group: which offset does a model bear that never saw restarts?

`python -m benchmarks.offset [--model checkpoints/smollm2]` prints a table. Knows no engine: one offline forward an item (visibility.py).
"""

import argparse
from collections.abc import Sequence
from copy import deepcopy
from math import exp
from statistics import mean

import torch
from transformers import AutoModelForCausalLM

from backbones.loading import Checkpoint, load
from backbones.visibility import Trajectory, target_logits

OFFSETS = (0, 8, 16, 32, 64, 128, 256, 512, 1024)

# task, inputs, source, target
ITEMS: tuple[tuple[str, dict[str, str], str, str], ...] = (
    ("translate", {"target_language": "German"}, "The dog sleeps under the table.", "Der Hund schläft unter dem Tisch."),
    (
        "translate",
        {"target_language": "French"},
        "I would like a cup of coffee, please.",
        "Je voudrais une tasse de café, s'il vous plaît.",
    ),
    ("translate", {"target_language": "Spanish"}, "Where is the nearest train station?", "¿Dónde está la estación de tren más cercana?"),
    (
        "answer",
        {"question": "Who designed the bridge?"},
        "The old bridge over the river was built in 1887 by a company from the north. It was designed by the engineer Maria Keller, "
        "who had worked on several railways before. Today it carries pedestrians only.",
        "The bridge was designed by the engineer Maria Keller.",
    ),
    (
        "answer",
        {"question": "When does the museum close on Sundays?"},
        "The museum is open every day but Monday. From Tuesday to Saturday it is open from nine to six. On Sundays it opens an hour "
        "later and closes at four in the afternoon.",
        "The museum closes at four in the afternoon on Sundays.",
    ),
    (
        "answer",
        {"question": "What did Anna forget?"},
        "Anna left the house early to catch the first bus. She had packed her lunch, her books and her umbrella, but halfway to the "
        "stop she noticed that her keys were still on the kitchen table.",
        "Anna forgot her keys.",
    ),
    (
        "summarise",
        {},
        "The city council voted on Tuesday to plant two thousand trees over the next five years. Most of them will line the streets of "
        "the eastern districts, where summers have become noticeably hotter. The money comes from a fund for public health, and "
        "residents may suggest places on a website that opens in March.",
        "The city will plant two thousand trees in five years, mostly in the hotter eastern districts, paid for by a public health fund.",
    ),
    (
        "summarise",
        {},
        "Scientists have found that crows can remember human faces for many years. In an experiment, people wore masks while they "
        "trapped and released a few birds. Years later, crows in the same area still scolded anybody who wore one of the masks, "
        "and even young birds that had never been trapped joined in.",
        "Crows remember human faces for years and teach other crows to recognise them.",
    ),
)


def losses(checkpoint: Checkpoint, model: object, offset: int | None) -> list[float]:
    """Mean negative log-likelihood of each item's target and end token, in nats. None: positions go on where the source stops."""
    frame, found = checkpoint.frame, []
    for task, inputs, source, target in ITEMS:
        prompt = checkpoint.codec.encode(checkpoint.config.tasks[task].render(inputs)).tokens
        read = [*frame.before, *prompt, *checkpoint.codec.encode(source).tokens, *frame.source_end]
        written = [*checkpoint.tokenizer(target, add_special_tokens=False)["input_ids"], checkpoint.tokenizer.eos_token_id]
        group = [*frame.header, *written]
        # Batch view: header rows before the last see the prompt only, as in streaming.
        prompt_only = len(frame.before) + len(prompt)
        visible = [prompt_only] * (len(frame.header) - 1) + [len(read)] * (len(written) + 1)
        if offset is None:
            visible = [len(read)] * len(group)
        logits = target_logits(model, Trajectory(read, group, visible), len(read) if offset is None else offset)
        predicted = logits[len(frame.header) - 1 : -1].float().log_softmax(-1)
        found.append(-predicted[torch.arange(len(written)), torch.tensor(written)].mean().item())
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints perplexity by offset, over all items and by task."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="checkpoints/smollm2")
    checkpoint = load(parser.parse_args(arguments).model, dtype="float32")
    model = checkpoint.backbone.model
    config = deepcopy(model.config)  # from_config writes the attention's name into what it is given
    offline = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa", dtype=torch.float32)  # type: ignore[no-untyped-call]
    offline.load_state_dict(model.state_dict())
    offline.eval()
    tasks = sorted({item[0] for item in ITEMS})
    print(f"{'offset':>10} {'all':>8} " + " ".join(f"{task:>10}" for task in tasks))
    for offset in (None, *OFFSETS):
        nll = losses(checkpoint, offline, offset)
        by_task = [exp(mean(loss for loss, item in zip(nll, ITEMS, strict=True) if item[0] == task)) for task in tasks]
        print(f"{'(no split)' if offset is None else offset:>10} {exp(mean(nll)):8.2f} " + " ".join(f"{value:10.2f}" for value in by_task))


if __name__ == "__main__":
    main()
