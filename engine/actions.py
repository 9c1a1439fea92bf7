"""What goes into a session and what comes out of it, as values. Knows no socket and no model.

The server turns wire messages into these and these into wire events; evaluation reads them as they are.
"""

from dataclasses import dataclass
from typing import Literal

from errors import ProactiveError

Reason = Literal["end", "length", "context", "stop", "cancelled", "error"]
Action = Literal["read", "write"]
Verdict = Literal["read", "write", "forced_write"]

# ---- in


@dataclass(frozen=True)
class Append:
    """The next piece of the source, cut anywhere."""

    text: str


@dataclass(frozen=True)
class AppendAudio:
    """The next samples of a source that is heard, cut anywhere between two of them; their format is the session's."""

    pcm: bytes


@dataclass(frozen=True)
class End:
    """The source is complete."""


@dataclass(frozen=True)
class Update:
    """A new threshold, from the next decision on. Queued like source, so that a trajectory never depends on timing."""

    threshold: float


Message = Append | AppendAudio | End | Update

# ---- out


@dataclass(frozen=True)
class Write:
    """Committed text. `index`: first target token in it; `count`: how many; `phi`: units visible to the last; `n`: message answered."""

    text: str
    index: int
    count: int
    phi: int
    n: int


@dataclass(frozen=True)
class Read:
    """Message `n` is dealt with: more source is needed."""

    phi: int
    n: int


@dataclass(frozen=True)
class Decision:
    """What was decided for target token `index`, and why. `score` is None where the head was not asked."""

    score: float | None
    threshold: float
    action: Action
    phi: int
    index: int
    n: int


@dataclass(frozen=True)
class Updated:
    """The threshold in force from target token `from_index` on."""

    threshold: float
    from_index: int
    stride: int = 1


@dataclass(frozen=True)
class Restrided:
    """The stride was changed by the server, unasked: decisions come at every `stride`-th unit only."""

    threshold: float
    from_index: int
    stride: int


@dataclass(frozen=True)
class Usage:
    """Counts of a session: tokens of prompt, source and target, units of the source, forward passes of the newest target token."""

    prompt_tokens: int
    source_tokens: int
    source_units: int
    target_tokens: int
    probes: int


@dataclass(frozen=True)
class Failure:
    """The session cannot go on; `Done` with reason `error` follows."""

    error: ProactiveError
    n: int


@dataclass(frozen=True)
class Done:
    """The session is over and its slot free. `rco` and `ail` are None unless the whole source was sent."""

    text: str
    reason: Reason
    usage: Usage
    rco: float | None
    ail: float | None


Event = Write | Read | Decision | Updated | Restrided | Failure | Done
