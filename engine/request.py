"""From what a client asks for to what a session runs with; every name is checked against the checkpoint here.

Knows the checkpoint's tasks and tiers; knows nothing of slots, ticks or the wire.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import heads
from backbones.audio_pcm import AudioFormat
from backbones.loading import Checkpoint
from engine.controller import Rules
from errors import InvalidValueError, UnknownNameError
from tasks.base import Task

NO_LIMIT = 2**31 - 1  # max_output_tokens of an endless stream that was given none


@dataclass(frozen=True)
class Sampling:
    """Temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Request:
    """A session as it is asked for. None leaves the choice to the checkpoint's task. `rollover`: it may outlast its slot.

    audio: the format of a source that is heard; None: it is text. silence_gate: no decisions where nobody speaks (engine/silence.py)
    max_lag: in units: words, or ms of audio; allow_stride: under load the server may decide at fewer units
    """

    task: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    instruction: str | None = None
    head: str | None = None
    head_params: Mapping[str, Any] = field(default_factory=dict)
    tier: str | None = None
    threshold: float | None = None
    max_lag: int | None = None
    max_output_tokens: int | None = None
    stop: Sequence[str] = ()
    sampling: Sampling = Sampling()
    decisions: bool = False
    rollover: bool = False
    audio: AudioFormat | None = None
    silence_gate: bool = False
    allow_stride: bool = False


@dataclass(frozen=True)
class Settings:
    """A session as it will run. `prefix`: token ids before the stream; `rollover_tokens`, `ctc_weight`: its task's (tasks/base.py)."""

    task: str
    prefix: tuple[int, ...]
    head_name: str
    head: heads.DecisionHead
    needs: frozenset[heads.Need]
    threshold: float
    rules: Rules
    stop: tuple[str, ...]
    sampling: Sampling
    decisions: bool
    rollover: bool = False
    rollover_tokens: int | None = None
    audio: AudioFormat | None = None
    silence_gate: bool = False
    allow_stride: bool = False
    ctc_weight: float = 0.0


def resolve(checkpoint: Checkpoint, request: Request) -> Settings:
    """Raises UnknownNameError (task, head, tier, input), MissingInputError, InvalidValueError or HeadError, naming the field."""
    tasks = checkpoint.config.tasks
    if request.task not in tasks:
        raise UnknownNameError("task", request.task, tasks)
    task = tasks[request.task]
    if request.audio is not None:
        _check_audio(checkpoint, request)
    if request.rollover and not task.may_roll_over:
        those = ", ".join(sorted(name for name, other in tasks.items() if other.may_roll_over)) or "none here"
        raise InvalidValueError(
            f"expected rollover with a task whose target goes on as long as its source ({those}); got {request.task!r}", param="rollover"
        )
    head_name = task.default_head if request.head is None else request.head
    head = heads.create(head_name, **request.head_params)
    prompt = checkpoint.codec.encode(task.render(request.inputs, request.instruction)).tokens
    return Settings(
        task=request.task,
        prefix=checkpoint.frame.before + prompt,
        head_name=head_name,
        head=head,
        needs=heads.checked_needs(head),
        threshold=_threshold(checkpoint, request.task, head_name, head, request.tier, request.threshold),
        rules=Rules(
            max_output_tokens=request.max_output_tokens or (NO_LIMIT if request.rollover else task.max_output_tokens),
            gate=task.gate,
            forbid_end_before_source_end=task.forbid_end_before_source_end,
            max_lag=request.max_lag,
            max_reads=task.max_reads,
            max_writes_per_read=task.max_writes_per_read,
            max_output_rate=_rate(task, heard=request.audio is not None),
        ),
        stop=tuple(request.stop),
        sampling=request.sampling,
        decisions=request.decisions,
        rollover=request.rollover,
        rollover_tokens=task.rollover_tokens,
        audio=request.audio,
        silence_gate=request.silence_gate,
        allow_stride=request.allow_stride,
        ctc_weight=task.ctc_weight if request.audio is not None else 0.0,
    )


def _rate(task: Task, *, heard: bool) -> float | None:
    """Tokens a unit of phi: what is heard has a rate a second, and phi in milliseconds."""
    return task.max_output_rate and task.max_output_rate / (1000 if heard else 1)


def _check_audio(checkpoint: Checkpoint, request: Request) -> None:
    if not checkpoint.hears:
        raise InvalidValueError(f"expected modality text: {checkpoint.name!r} reads text only; got audio", param="modality")
    if request.rollover and checkpoint.listener is not None:
        raise InvalidValueError(f"expected no rollover: {checkpoint.name!r} keeps all that is said in one slot", param="rollover")


def threshold(checkpoint: Checkpoint, settings: Settings, *, tier: str | None, value: float | None) -> float:
    """The threshold that a running session changes to. Raises UnknownNameError with the tiers of its task and head."""
    return _threshold(checkpoint, settings.task, settings.head_name, settings.head, tier, value)


def _threshold(checkpoint: Checkpoint, task: str, head_name: str, head: heads.DecisionHead, tier: str | None, value: float | None) -> float:
    """The threshold of a tier, or `value`; with neither, the task's default tier, or the head's default where it has no tiers."""
    if tier is not None and value is not None:
        raise InvalidValueError("expected tier or threshold, got both", param="tier")
    if value is not None:
        return value
    tiers = checkpoint.tiers.get(task, {}).get(head_name, {})
    if tier is None:
        default = tiers.get(checkpoint.config.tasks[task].default_tier)
        return default.threshold if default else head.default_threshold
    if tier not in tiers:
        raise UnknownNameError("tier", tier, tiers, none=f"head {head_name!r} has none for task {task!r}")
    return tiers[tier].threshold
