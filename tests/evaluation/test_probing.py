"""The signals at every prefix, against one offline forward each."""

import pytest
import torch

from backbones import visibility
from backbones.backbone import Backbone
from backbones.visibility import Trajectory
from engine.runner import entropy
from evaluation.probing import Limits, Seen, _spread, mean_of_pairs, peak_of_each_pair, probe_items
from tasks.example import Example
from tests import tiny

SOURCES = ("the dog sat down where the cats were", "birds sang", "one")
EXAMPLES = [Example(f"e{i}", text, ("x",), inputs={}) for i, text in enumerate(SOURCES)]
PAIRS = [(0, 1), (2, 3)]


def probes(task: str, limits: Limits, slots: int, **options: object) -> list[Seen]:
    checkpoint = tiny.checkpoint()
    backbone = Backbone(checkpoint.backbone.model, pairs=PAIRS)
    items = probe_items(checkpoint, backbone, task, EXAMPLES, limits, slots=slots, **options)  # type: ignore[arg-type]  # by name
    return sorted((seen for item in items for seen in item), key=lambda seen: (seen.item, seen.phi, seen.index))


def test_every_probe_is_one_offline_forward_of_its_prefix() -> None:
    checkpoint, found = tiny.checkpoint(), probes("echo", Limits(target_tokens=5), slots=2)
    offline = tiny.model("qwen2", attn="eager", vocab_size=checkpoint.backbone.vocab_size)
    prefix = checkpoint.frame.before + checkpoint.codec.encode(checkpoint.config.tasks["echo"].render({})).tokens
    header = checkpoint.frame.header
    assert {seen.item for seen in found} == {0, 1, 2}
    for number, source in enumerate(SOURCES):
        encoded = checkpoint.codec.encode(source)
        whole = [*prefix, *encoded.tokens, *checkpoint.frame.source_end]
        full = greedy(offline, whole, len(prefix), header, checkpoint.frame.end)
        mine = [seen for seen in found if seen.item == number]
        assert {(seen.phi, seen.index) for seen in mine} == {(phi, i) for phi in range(1, encoded.released + 1) for i in range(len(full))}
        for seen in mine:
            read = [*prefix, *(token for token, unit in zip(encoded.tokens, encoded.units, strict=True) if unit < seen.phi)]
            target = [*header, *full[: seen.index]]
            visible = [len(prefix)] * (len(header) - 1) + [len(read)] * (seen.index + 1)
            logits = visibility.target_logits(offline, Trajectory(read, target, visible), 0)[-1:]
            assert seen.agrees == (int(logits.argmax()) == full[seen.index])
            assert seen.entropy == pytest.approx(float(entropy(logits)), abs=1e-4)


def greedy(offline: torch.nn.Module, whole: list[int], prompt: int, header: tuple[int, ...], end: frozenset[int]) -> list[int]:
    written: list[int] = []
    while len(written) < 5 and not (written and written[-1] in end):
        target = [*header, *written]
        visible = [prompt] * (len(header) - 1) + [len(whole)] * (len(written) + 1)
        written.append(int(visibility.target_logits(offline, Trajectory(whole, target, visible), 0)[-1].argmax()))
    return written


def test_reduced_attention_is_per_unit_or_per_pair() -> None:
    limits = Limits(target_tokens=3)
    for mean, peaks in zip(probes("echo", limits, slots=3), probes("echo", limits, slots=1, reduce=peak_of_each_pair), strict=True):
        assert mean.attention.shape == (mean.phi,)
        assert peaks.attention.shape == (len(PAIRS),)
        assert float(mean.attention.max()) <= float(peaks.attention.mean()) + 1e-6


def test_under_the_word_gate_only_tokens_that_begin_a_word_are_asked_about() -> None:
    checkpoint = tiny.checkpoint()
    every, gated = probes("echo", Limits(), slots=3), probes("words", Limits(), slots=3)
    assert {seen.index for seen in gated} < {seen.index for seen in every}
    assert all(seen.index < checkpoint.config.tasks["words"].max_output_tokens for seen in gated)


@pytest.mark.parametrize(("words", "count", "expected"), [(0, 4, []), (3, 8, [1, 2, 3]), (10, 5, [2, 4, 6, 8, 10]), (7, 2, [4, 7])])
def test_prefixes_are_spread_to_the_last_word(words: int, count: int, expected: list[int]) -> None:
    assert _spread(words, count) == expected


def test_mean_and_peak() -> None:
    attention = torch.tensor([[0.1, 0.3], [0.5, 0.1]])
    assert mean_of_pairs(attention).tolist() == pytest.approx([0.2, 0.3])
    assert peak_of_each_pair(attention).tolist() == pytest.approx([0.5, 0.3])
