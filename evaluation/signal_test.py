"""H0: does a head's score say that the prefix's next token equals the full view's, better than phi alone does?

And the selection of (layer, head) pairs, which asks the same of each pair's peak. No label is used but the model's own full view.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log
from random import Random

import numpy as np
import torch

import heads
from backbones.backbone import Backbone
from backbones.loading import Checkpoint
from errors import InvalidValueError
from evaluation import auc
from evaluation.bootstrap import Array, Interval, Resamples
from evaluation.probing import Limits, Seen, peak_of_each_pair, probe_items
from tasks.example import Example

# name -> head, parameters
SCORED: dict[str, tuple[str, dict[str, object]]] = {
    "entropy": ("entropy", {}),
    "attention": ("attention", {}),
    "attention, focus": ("attention", {"score": "focus"}),
    "mass": ("mass", {}),
    "align_att": ("align_att", {}),
}
PHI, SHUFFLED = "phi alone", "attention, shuffled"
PAIRS = 8  # selected (layer, head) pairs
CHUNK = 512  # probes scored at once


@dataclass(frozen=True)
class SignalRow:
    """One predictor: its area under the ROC curve, and that minus the area of phi alone."""

    name: str
    auc: Interval
    against_phi: Interval


def rows(seen: Sequence[Seen], clusters: Sequence[str], vocab_size: int, *, seed: int = 0) -> list[SignalRow]:
    """The table of H0. `clusters`: the cluster of each item. Raises InvalidValueError where every probe agrees, or none."""
    return compared(scored(seen, vocab_size, seed=seed), _labels(seen), [probe.item for probe in seen], clusters, seed=seed)


def scored(seen: Sequence[Seen], vocab_size: int, *, seed: int = 0) -> dict[str, Array]:
    """Predictor -> [n]: what it says of each probe, whose attention is [phi]."""
    scores = {name: head_scores(heads.create(head, **params), seen, vocab_size) for name, (head, params) in SCORED.items()}
    scores[SHUFFLED] = head_scores(heads.create("attention"), shuffled(seen, seed), vocab_size)
    scores[PHI] = np.array([probe.phi for probe in seen], dtype=float)
    return scores


def compared(
    scores: Mapping[str, Array], labels: auc.Labels, of_item: Sequence[int], clusters: Sequence[str], *, seed: int = 0
) -> list[SignalRow]:
    """Each predictor's area and that minus phi's. `of_item`: [n] the item of each probe, a place in `clusters`."""
    items = sorted(set(of_item))
    resamples = Resamples([clusters[item] for item in items], seed=seed)
    cluster_of = dict(zip(items, resamples.cluster, strict=True))
    of_probe = np.array([cluster_of[item] for item in of_item])
    found = {name: auc.pairs(values, labels, of_probe) for name, values in scores.items()}
    return [SignalRow(name, auc.interval(pairs, resamples), auc.difference(pairs, found[PHI], resamples)) for name, pairs in found.items()]


def head_scores(head: heads.DecisionHead, seen: Sequence[Seen], vocab_size: int) -> Array:
    """[n]: what the head says of each probe, whose attention is [phi]."""
    made: list[float] = []
    for start in range(0, len(seen), CHUNK):
        some = seen[start : start + CHUNK]
        width = max(probe.phi for probe in some)
        attention = torch.zeros(len(some), width)
        for row, probe in enumerate(some):
            attention[row, : probe.phi] = probe.attention
        signals = heads.Signals(
            phi=torch.tensor([probe.phi for probe in some]),
            written=torch.tensor([probe.index for probe in some]),
            index=torch.tensor([probe.index for probe in some]),
            log_vocab=log(vocab_size),
            entropy=torch.tensor([probe.entropy for probe in some]),
            attention=attention,
        )
        made += heads.checked_scores(head, signals)
    return np.array(made)


def shuffled(seen: Sequence[Seen], seed: int) -> list[Seen]:
    """Each probe with the attention of another one of the same phi: what is left is what attention says of phi alone."""
    by_phi: dict[int, list[int]] = defaultdict(list)
    for place, probe in enumerate(seen):
        by_phi[probe.phi].append(place)
    out = list(seen)
    random = Random(seed)  # noqa: S311 (a permutation, no secret)
    for places in by_phi.values():
        drawn = random.sample(places, len(places))
        for place, other in zip(places, drawn, strict=True):
            out[place] = Seen(**{**vars(seen[place]), "attention": seen[other].attention})
    return out


def select_pairs(
    checkpoint: Checkpoint, task: str, examples: Sequence[Example], limits: Limits, *, count: int = PAIRS, slots: int = 16
) -> list[tuple[tuple[int, int], float]]:
    """The `count` (layer, head) pairs whose peaks predict agreement best, each with its area, best first (docs/heads.md).

    Raises InvalidValueError where every probe agrees with the full view, or none.
    """
    config = checkpoint.backbone.model.config
    every = [(layer, head) for layer in range(config.num_hidden_layers) for head in range(config.num_attention_heads)]
    backbone = Backbone(checkpoint.backbone.model, offset=checkpoint.backbone.offset, pairs=every)
    seen = [
        probe for item in probe_items(checkpoint, backbone, task, examples, limits, reduce=peak_of_each_pair, slots=slots) for probe in item
    ]
    labels = _labels(seen)
    peaks = torch.stack([probe.attention for probe in seen]).numpy()  # [n, pairs]
    areas = [auc.plain_area(peaks[:, column], labels) for column in range(len(every))]
    best = sorted(range(len(every)), key=lambda column: -areas[column])[:count]
    return [(every[column], areas[column]) for column in best]


def _labels(seen: Sequence[Seen]) -> auc.Labels:
    """[n]: which probes agree. Raises InvalidValueError where all do, or none."""
    labels = np.array([probe.agrees for probe in seen])
    if not seen or labels.all() or not labels.any():
        raise InvalidValueError(f"expected probes that agree with the full view and some that do not, got {labels.sum()} of {len(labels)}")
    return labels
