"""Runs the turns of a tick through the backbone and turns its outputs into signals, scores and candidate tokens.

Knows sessions' rows and heads' needs; decides nothing.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, log
from random import Random

import torch

from backbones.backbone import Backbone
from backbones.layout import SourceRun, TargetRow, TargetRun
from backbones.slots import KVSlots
from engine.request import Sampling
from engine.scheduler import Turn
from engine.session import Session
from errors import ProactiveError, SignalError
from heads import DecisionHead, Signals, checked_scores

COLDEST = 1e-30  # a temperature that float32 can divide by


@dataclass
class Probe:
    """A probe's outcome: the token that would be written next, what the head needs, then its score.

    attention: [phi], or None; entropy in nats, or None; `error` instead of a score where the signals are no numbers
    """

    session: Session
    token: int
    entropy: float | None
    attention: torch.Tensor | None
    score: float | None = None
    error: ProactiveError | None = None


class Runner:
    """One backbone and its slots."""

    def __init__(self, backbone: Backbone, slots: KVSlots) -> None:
        self.backbone, self.slots = backbone, slots

    def forward(self, turns: Sequence[Turn[Session]]) -> list[Probe]:
        """One pass over everything that the turns ask for; none if nothing is asked."""
        if not turns:
            return []
        runs: list[SourceRun | TargetRun] = []
        rows: list[TargetRow] = []
        probing = [turn.session for turn in turns if turn.probe]
        for turn in turns:
            pending, header = turn.session.feed(turn.count)
            runs.extend(pending)
            rows.extend(header)
        rows.extend(s.probe(attention="attention" in s.settings.needs) for s in probing)
        out = self.backbone.forward(self.slots, runs, rows)
        return self._probes(probing, out.logits, out.attention) if probing else []

    @torch.inference_mode()
    def _probes(self, sessions: Sequence[Session], logits: torch.Tensor, attention: dict[int, torch.Tensor]) -> list[Probe]:
        weighing = [i for i, session in enumerate(sessions) if session.settings.ctc_weight]
        if weighing:
            logits = logits.float()  # neighbours' rows stay theirs
            logits[weighing] = torch.stack([sessions[i].weighed(logits[i]) for i in weighing])
        best, greedy = (found.tolist() for found in logits.max(dim=-1))
        wanted = any("entropy" in s.settings.needs for s in sessions)
        entropies = entropy(logits).tolist() if wanted else [None] * len(sessions)
        probes = []
        for i, session in enumerate(sessions):
            probe = Probe(session, greedy[i], entropies[i], attention.get(i))
            if not isfinite(best[i]):
                probe.error = SignalError(f"expected finite logits, got {best[i]} from the model")
            elif session.settings.sampling.temperature > 0 or (greedy[i] in session.end_tokens and _end_is_barred(session)):
                probe.token = _choose(logits[i], session)
            probes.append(probe)
        return probes

    def score(self, probes: Sequence[Probe]) -> None:
        """Asks each head once, about all of its probes. A head that fails fails its own sessions only."""
        by_head: dict[DecisionHead, list[Probe]] = defaultdict(list)
        for probe in probes:
            if probe.error is None:
                by_head[probe.session.settings.head].append(probe)
        for head, group in by_head.items():
            try:
                scores = checked_scores(head, signals(group, self.backbone.vocab_size))
            except ProactiveError as error:
                for probe in group:
                    probe.error = error
            else:
                for probe, value in zip(group, scores, strict=True):
                    probe.score = value

    def warm_up(self, *, tokens: int, probes: int) -> None:
        """Makes ready for ticks of up to so many tokens, so many of them probes."""
        self.backbone.warm_up(self.slots, tokens=tokens, probes=probes)

    def canary(self) -> None:
        """One token through the model into the scratch row: does the device still work?"""
        self.backbone.forward(self.slots, [SourceRun(self.slots.scratch, 0, [0])], [])


def signals(probes: Sequence[Probe], vocab_size: int) -> Signals:
    """What their one head needs of B probes, padded to the largest phi. Counts are of what the sessions' slots hold."""
    sessions = [probe.session for probe in probes]
    needs = sessions[0].settings.needs
    phi = torch.tensor([s.visible for s in sessions])
    return Signals(
        phi=phi,
        written=torch.tensor([s.words_before(s.candidate(p.token)) for s, p in zip(sessions, probes, strict=True)]),
        index=torch.tensor([s.rows.written for s in sessions]),
        log_vocab=log(vocab_size),
        entropy=torch.tensor([p.entropy for p in probes]) if "entropy" in needs else None,
        attention=_padded([p.attention for p in probes], int(phi.max())) if "attention" in needs else None,
        history=_padded([s.history for s in sessions], int(phi.max())) if "history" in needs else None,
        steps=torch.tensor([s.steps for s in sessions]),
    )


def remember(probe: Probe) -> None:
    """Adds a written token's attention to its session's history, for heads that average over the target."""
    if probe.attention is not None and "history" in probe.session.settings.needs:
        before = probe.session.history
        probe.session.history = probe.attention.clone()
        probe.session.history[: len(before)] += before


def entropy(logits: torch.Tensor) -> torch.Tensor:
    """[P, V] -> [P], nats, float32: H(P) = -sum P log P (ProactiveLLM, "entropy-driven head")."""
    # Row by row on CPU: a row stays in the cache, where the whole is memory that is asked for and given back every tick (docs/log.md).
    rows = torch.tensor_split(logits, max(len(logits), 1)) if logits.device.type == "cpu" else (logits,)
    return torch.cat([_entropy(row) for row in rows])


def _entropy(logits: torch.Tensor) -> torch.Tensor:
    """log sum e^x - sum x e^x / sum e^x, x the logits less the largest; what is -inf has no share."""
    x = logits.float()
    x = (x - x.amax(dim=-1, keepdim=True)).clamp_min_(-1e4)
    e = x.exp()
    total = e.sum(dim=-1)
    return total.log() - (e * x).sum(dim=-1) / total


def _padded(rows: Sequence[torch.Tensor | None], width: int) -> torch.Tensor:
    out = torch.zeros(len(rows), width)
    for i, row in enumerate(rows):
        if row is not None:
            out[i, : len(row)] = row
    return out


def _end_is_barred(session: Session) -> bool:
    """True if a write is forced where the task forbids the end: the best token that is no end is written instead.

    With CTC an end means that nothing more was said yet: there is nothing to be forced.
    """
    control = session.controller
    return control.must_write and not control.may_end and not session.settings.ctc_weight


def _choose(logits: torch.Tensor, session: Session) -> int:
    """One token of a session that samples, or that may not end: see `sample`."""
    control, sampling = session.controller, session.settings.sampling
    scores = logits.float().clone()
    if _end_is_barred(session):
        scores[list(session.end_tokens)] = float("-inf")
    if sampling.temperature == 0:
        return int(scores.argmax())
    return sample(scores, sampling, len(control.trajectory))


def sample(logits: torch.Tensor, sampling: Sampling, index: int) -> int:
    """Draws target token `index` from [V] logits by inverting the distribution at a number that only seed and index decide.

    So a READ consumes no randomness: however often a token is probed, its number is the same.
    """
    # The largest is 0 before it is divided: a tiny temperature then makes the others -inf, and nothing NaN.
    scaled = (logits - logits.max()) / max(sampling.temperature, COLDEST)
    p, order = scaled.softmax(dim=-1).sort(descending=True, stable=True)
    tail = p.cumsum(dim=-1) - p >= sampling.top_p
    tail[0] = False  # a tiny top_p is 0 in float32
    p = p.masked_fill(tail, 0.0)
    total = p.cumsum(dim=-1)
    u = Random(f"{sampling.seed}:{index}").random() * float(total[-1])  # noqa: S311 (text, not secrets)
    return int(order[min(int(torch.searchsorted(total, u, right=True)), int((p > 0).sum()) - 1)])
