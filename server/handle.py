"""One session between the event loop and the device's thread: its outcomes, who takes them, and who watches.

Knows no socket and no thread.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.actions import Event, Message
from engine.engine import Engine
from engine.request import Request
from engine.session import Session
from errors import ProactiveError


@dataclass(frozen=True)
class Opened:
    """The answer to `open`: the session holds a slot. `source_capacity` is in tokens of the stream."""

    model: str
    head: str
    threshold: float
    source_capacity: int
    max_output_tokens: int


@dataclass(frozen=True)
class Refused:
    """The answer to `open` or `update`: no."""

    error: ProactiveError


@dataclass(frozen=True)
class Crashed:
    """The thread failed, and every session with it."""

    error: ProactiveError


@dataclass(frozen=True)
class Retune:
    """A client's wish for a tier or a threshold, before it is checked."""

    tier: str | None
    threshold: float | None


@dataclass(frozen=True)
class Cancel:
    """A client's wish to end the session."""


Outcome = Opened | Refused | Crashed | Event
Sink = Callable[[Outcome], None]
Asked = Message | Retune | Cancel


class Watcher(Protocol):
    """Sees one session from outside, in the event loop and in order; it must neither block nor raise."""

    def sent(self, asked: Asked) -> None:
        """The client sent a message."""
        ...

    def came(self, outcome: Outcome) -> None:
        """An answer goes to the client."""
        ...

    def left(self) -> None:
        """The client is gone; nothing more is sent. Not called after a session that was done."""
        ...


class Handle:
    """One session as the event loop sees it. `sink` is called in the loop, in order; `session_id` is for logs and recordings."""

    def __init__(self, sink: Sink, session_id: str = "") -> None:
        self.session_id = session_id or uuid.uuid4().hex
        self.engine: Engine | None = None  # the worker's
        self.session: Session | None = None  # the worker's
        self.watchers: Sequence[Watcher] = ()
        self.n = 0  # source messages
        self._sink = sink

    def tell(self, asked: Asked) -> None:
        """Shows the watchers what the client sent."""
        for watcher in self.watchers:
            watcher.sent(asked)

    def leave(self) -> None:
        """Shows the watchers that the client is gone."""
        for watcher in self.watchers:
            watcher.left()

    def deliver(self, outcome: Outcome) -> None:
        """Hands an outcome to the watchers, then to whoever opened the session."""
        for watcher in self.watchers:
            watcher.came(outcome)
        self._sink(outcome)


Watch = Callable[[Handle, str | None, Request], Watcher]  # makes the watcher of a session that is asked for: handle, model, request
