"""The READ/WRITE state machine of one session: source released, score, source ended, cancel -> actions.

Pure: no torch, no I/O, no clock. phi(t) is monotone because nothing here can lower it.
"""

import math
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from engine.actions import Action, Reason, Verdict
from errors import BadStateError

SPARE = 16  # tokens that `max_output_rate` lets any source have, however short


class Phase(Enum):
    """READING waits for source, DECIDING for the score of a probe, DONE for nothing."""

    READING = "reading"
    DECIDING = "deciding"
    DONE = "done"


@dataclass(frozen=True)
class Rules:
    """What bounds the head. All caps but `max_output_tokens` are off by default.

    max_lag: in units; max_output_rate: in tokens a unit, beyond SPARE, since the last seam
    """

    max_output_tokens: int
    gate: Literal["token", "word"] = "token"
    forbid_end_before_source_end: bool = False
    max_lag: int | None = None
    max_reads: int | None = None
    max_writes_per_read: int | None = None
    max_output_rate: float | None = None


@dataclass(frozen=True)
class Candidate:
    """What the controller must know of the token that would be written: does it end the target, does it begin a word."""

    ends: bool
    begins_word: bool


@dataclass
class Controller:
    """One session's decisions.

    phi:     units released so far; trajectory: phi of each content token written
    words:   target words begun
    reason:  why the session is done, once it is
    verdict: the last decision; a forced write is one of the source end, a seam, `max_lag` or `max_reads`, not of the head
    closing: tokens that may still be written at a seam (engine/rollover.py), None elsewhere
    stride:  units that a decision point takes at least. More than one is for a server that has too much to do
    """

    rules: Rules
    threshold: float
    phase: Phase = Phase.READING
    phi: int = 0
    source_ended: bool = False
    trajectory: list[int] = field(default_factory=list)
    words: int = 0
    reason: Reason | None = None
    verdict: Verdict | None = None
    closing: int | None = None
    stride: int = 1
    _begun: tuple[int, int] = (0, 0)  # phi and tokens at the last seam
    _undecided: int = 0  # units since the last decision point
    _reads: int = 0
    _writes_since_read: int = 0

    def release(self, units: int) -> bool:
        """`units` more are visible. True if that opens a decision point: an append that completes no unit does not.

        Nor does one within the stride, unless `max_lag` would force a write.
        """
        self._expect(Phase.READING, "source")
        if self.source_ended:
            raise BadStateError("expected no source after the source end")
        if units < 0:
            raise BadStateError(f"expected units to be released, got {units}")
        self.phi += units
        self._undecided += units
        if not units or (self._undecided < self.stride and not self._at(self.lag, self.rules.max_lag)):
            return False
        self._decide_next()
        return True

    def end_source(self, units: int = 0) -> None:
        """The source is complete, with `units` that only its end released: from here on every decision is WRITE."""
        self.release(units)
        self.source_ended = True
        self._decide_next()

    def close(self, limit: int) -> None:
        """A seam: every decision is WRITE until the model would end the target, or `limit` >= 1 tokens were written; then it is READ."""
        if self.source_ended or self.phase is Phase.DONE:
            raise BadStateError("expected a seam only before the source end")
        self.closing = limit
        self._decide_next()

    def begin_again(self, phi: int) -> None:
        """A seam at `phi` is over: from here on the target is bounded by the source behind it."""
        self._begun = phi, len(self.trajectory)

    def _decide_next(self) -> None:
        self.phase, self._undecided = Phase.DECIDING, 0

    @property
    def must_write(self) -> bool:
        """True if the head is not asked: at the source end or a seam, `max_lag` behind the source, or after `max_reads` READs in a row."""
        return self.everything or self._at(self.lag, self.rules.max_lag) or self._at(self._reads, self.rules.max_reads)

    @property
    def everything(self) -> bool:
        """True while all that is left to say is written: at the source end, and at a seam."""
        return self.source_ended or self.closing is not None

    @property
    def may_end(self) -> bool:
        """False while the task forbids an end of the target."""
        return self.everything or not self.rules.forbid_end_before_source_end

    @property
    def lag(self) -> int:
        """Units released since the last one that a written token saw."""
        return self.phi - (self.trajectory[-1] if self.trajectory else 0)

    def decide(self, score: float | None, candidate: Candidate) -> tuple[Action, float | None]:
        """The action, and the score where it was what decided.

        Order: the source end and a seam write; a forbidden end and the caps on writes read; a begun word and the caps on reading write;
        then the head. `score` may be None where it is not needed.
        """
        self._expect(Phase.DECIDING, "a decision")
        if self.closing is not None:
            return self._close(candidate, self.closing), None
        if self.source_ended:
            return self._write(candidate, "forced_write"), None
        if self._must_read(candidate):
            return self._read(), None
        if self.must_write:
            return self._write(candidate, "forced_write"), None
        if self.finishes_word(candidate):
            return self._write(candidate), None
        if score is None:
            raise BadStateError("expected a score, as nothing forces this decision; got None")
        return (self._write(candidate) if score >= self.threshold else self._read()), score

    def _must_read(self, candidate: Candidate) -> bool:
        barred = not self.may_end if candidate.ends else self._spare <= 0
        return barred or self._at(self._writes_since_read, self.rules.max_writes_per_read)

    @property
    def _spare(self) -> float:
        """Tokens that the source since the last seam may still have. None left: the model goes round in circles."""
        if self.rules.max_output_rate is None:
            return math.inf
        units, tokens = self.phi - self._begun[0], len(self.trajectory) - self._begun[1]
        return SPARE + self.rules.max_output_rate * units - tokens

    def finishes_word(self, candidate: Candidate) -> bool:
        """True if the word gate lets the token pass: its word has begun already."""
        return self.rules.gate == "word" and bool(self.trajectory) and not candidate.begins_word and not candidate.ends

    def finish(self, reason: Reason) -> None:
        """Ends the session in whatever phase it is. The first reason stands."""
        if self.phase is not Phase.DONE:
            self.phase, self.reason = Phase.DONE, reason

    def _close(self, candidate: Candidate, limit: int) -> Action:
        """The target's end ends the seam, and not the session; so does a target that outruns its source."""
        if candidate.ends or self._spare <= 0:
            self.closing = None
            return self._read()
        self._write(candidate, "forced_write")
        self.closing = limit - 1 or None
        if self.closing is None and self.phase is not Phase.DONE:
            self.phase = Phase.READING
        return "write"

    def _read(self) -> Action:
        self.phase, self.verdict = Phase.READING, "read"
        self._reads += 1
        self._writes_since_read = 0
        return "read"

    def _write(self, candidate: Candidate, verdict: Verdict = "write") -> Action:
        self.verdict = verdict
        self._reads = 0
        if candidate.ends:
            self.finish("end")
            return "write"
        self.trajectory.append(self.phi)
        self.words += candidate.begins_word
        self._writes_since_read += 1
        # One more behind the source's end than before it: whether it would have been the target's end had to be seen.
        if len(self.trajectory) == self.rules.max_output_tokens or (self.source_ended and self._spare < 0):
            self.finish("length")
        return "write"

    def _expect(self, phase: Phase, what: str) -> None:
        if self.phase is not phase:
            raise BadStateError(f"expected {what} only while {phase.value}; the session is {self.phase.value}")

    @staticmethod
    def _at(count: int, cap: int | None) -> bool:
        return cap is not None and count >= cap
