"""What is kept of one item under one policy: a line of items.jsonl, from which every figure of a report is made.

Knows a session's events and nothing of how they came: from the engine or over a socket.
"""

from collections.abc import Iterable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from backbones.audio_file import milliseconds
from backbones.source_codec import count_units
from engine.actions import Action, Decision, Done, Event, Failure, Write
from evaluation.policies import Policy
from tasks.example import Example


class Clock(BaseModel):
    """When things happened, in seconds since the session's first word was sent.

    sent: [M] when each source word was sent; writes: [L] when each target token came
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    sent: tuple[float, ...]
    writes: tuple[float, ...]


class Record(BaseModel):
    """One item under one policy.

    policy, curve, threshold: the policy's label, its name, and the threshold in force
    source_length: M, in words or ms; read: phi when the session ended
    delays:        [L] g_t: words or ms visible when target token t was written
    word_delays:   [target words] words or ms visible when each word of the target was complete, that is, when what follows it came
    token_delays:  [L] source tokens visible when target token t was written; None where no tokenizer was at hand
    source_tokens: M in tokens, likewise
    word_writes:   [target words] of a recording: ms visible when the last character of each word of the target was written
    word_ends:     ms at which the words of the reference end in the recording, where that is known
    decisions:     (phi, index, score, action) of every probe, in order; the score is None where the head was not asked
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    policy: str
    curve: str
    threshold: float | None
    id: str
    cluster: str
    source: str
    inputs: dict[str, str] = Field(default_factory=dict)
    references: tuple[str, ...]
    target: str
    reason: str
    source_length: int
    read: int
    delays: tuple[int, ...]
    word_delays: tuple[int, ...]
    token_delays: tuple[int, ...] | None = None
    source_tokens: int | None = None
    word_writes: tuple[int, ...] = ()
    word_ends: tuple[int, ...] = ()
    decisions: tuple[tuple[int, int, float | None, Action], ...]
    oracle: int | None = None
    error: str | None = None
    clock: Clock | None = None


class Trace:
    """The events of one session as they come, and the record that they make."""

    def __init__(self, policy: Policy, example: Example) -> None:
        self.policy, self.example = policy, example
        self._events: list[Event] = []

    def take(self, event: Event) -> None:
        """One event more."""
        self._events.append(event)

    @property
    def done(self) -> Done | None:
        """The last event, once it came."""
        last = self._events[-1] if self._events else None
        return last if isinstance(last, Done) else None

    def record(self, token_units: Sequence[int] | None = None, clock: Clock | None = None) -> Record:
        """`token_units`: [source tokens] the unit of each, ascending. The session must be done."""
        done = self.done
        assert done is not None
        decided = [event for event in self._events if isinstance(event, Decision)]
        failed = next((event.error for event in self._events if isinstance(event, Failure)), None)
        written = [decision for decision in decided if decision.action == "write"]
        delays = tuple(decision.phi for decision in written[: done.usage.target_tokens])
        writes = [event for event in self._events if isinstance(event, Write)]
        audio = self.example.audio
        return Record(
            policy=self.policy.label,
            curve=self.policy.name,
            threshold=decided[0].threshold if decided else self.policy.threshold,
            id=self.example.id,
            cluster=self.example.cluster,
            source=self.example.source,
            inputs=dict(self.example.inputs),
            references=self.example.references,
            target=done.text,
            reason=done.reason,
            source_length=count_units(self.example.source) if audio is None else milliseconds(audio),
            read=done.usage.source_units,
            delays=delays,
            word_delays=tuple(word_delays(writes, done.usage.source_units)),
            token_delays=None if token_units is None else tuple(sum(unit < phi for unit in token_units) for phi in delays),
            source_tokens=None if token_units is None else len(token_units),
            word_writes=() if audio is None else tuple(word_writes(writes)),
            word_ends=self.example.word_ends,
            decisions=tuple((d.phi, d.index, _finite(d.score), d.action) for d in decided),
            oracle=self.example.oracle,
            error=failed.code if failed else None,
            clock=clock,
        )


def word_delays(writes: Iterable[Write], last_phi: int) -> list[int]:
    """phi of the event that completed each whitespace word of the target: the next word's blank, or the end at `last_phi`."""
    delays, in_word = [], False
    for write in writes:
        for char in write.text:
            if char.isspace() and in_word:
                delays.append(write.phi)
            in_word = not char.isspace()
    return [*delays, last_phi] if in_word else delays


def word_writes(writes: Iterable[Write]) -> list[int]:
    """phi of the event that brought the last character of each whitespace word of the target."""
    last, in_word = list[int](), False
    for write in writes:
        for char in write.text:
            if not char.isspace():
                last[len(last) - in_word :] = [write.phi]
            in_word = not char.isspace()
    return last


def _finite(score: float | None) -> float | None:
    """As on the wire, where minus infinity is null: JSON has none."""
    return None if score is None or score in (float("inf"), float("-inf")) else score
