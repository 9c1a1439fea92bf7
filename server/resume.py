"""What outlives a connection that broke: the events that were sent, and who may come back for which session until when.

Knows numbers, tokens and times; knows no socket, no message and no engine.
"""

import asyncio
import hashlib
import secrets
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from errors import ProactiveError
from server.config import ServerConfig
from server.keys import Caller
from server.metrics import Metrics

# Close codes of a connection that nobody ended: lost, keepalive without an answer, or something between that went away.
BROKEN = frozenset({1006, 1011, 1012, 1013, 1014})


class ResumeError(ProactiveError):
    """The session cannot be resumed, or not with these numbers."""

    def __init__(self, code: str, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.code = code


class History:
    """The newest events of a connection, as they were sent: at most `limit` bytes, and one event more."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._frames: deque[tuple[str, int]] = deque()  # and its bytes
        self._size = 0
        self.last = 0  # number of the newest

    def add(self, frame: str) -> None:
        """The event that was, or is about to be, sent; numbered 1, 2, …"""
        size = len(frame.encode())
        self._frames.append((frame, size))
        self.last += 1
        self._size += size
        while self._size > self._limit and len(self._frames) > 1:
            self._size -= self._frames.popleft()[1]

    def clear(self) -> None:
        """Keeps none of them."""
        self._frames.clear()
        self._size = 0

    def keeps(self, seq: int) -> bool:
        """Whether every event after number `seq` is still here."""
        return self.last - seq <= len(self._frames)

    def since(self, seq: int) -> list[str]:
        """Every event after number `seq`. Raises ResumeError where some are no longer kept, and for a number that is to come."""
        if seq > self.last:
            raise ResumeError("invalid_value", f"expected last_seq to be at most {self.last}, got {seq}", param="last_seq")
        missed = self.last - seq
        if not self.keeps(seq):
            raise ResumeError(
                "resume_gap", f"expected to have missed at most the last {len(self._frames)} events, got {missed}: start the session again"
            )
        return [frame for frame, _ in list(self._frames)[len(self._frames) - missed :]]


class Conversation(Protocol):
    """What can be resumed: connection.py's."""

    @property
    def is_done(self) -> bool:
        """No session of it runs."""
        ...

    def abandon(self) -> None:
        """Nobody came back."""
        ...

    def going_away(self, seconds: float) -> None:
        """The server stops in so many seconds at the latest."""
        ...


class _Ticket:
    def __init__(self, conversation: Conversation, owner: object) -> None:
        self.conversation, self.owner = conversation, owner
        self.expiry: asyncio.TimerHandle | None = None  # while its connection is broken


class Resumes:
    """The tokens in force. Of them only hashes are kept; each has one holder, and one key that it belongs to."""

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        self._seconds, self._max, self._key_max = config.resume_seconds, config.max_parked, config.key_max_parked
        self._metrics = metrics
        self._tickets: dict[str, _Ticket] = {}

    def issue(self, conversation: Conversation, caller: Caller | None) -> str | None:
        """A token for a session; None where the server does not resume."""
        if not self._seconds:
            return None
        token = secrets.token_urlsafe(32)
        self._tickets[_hash(token)] = _Ticket(conversation, _owner(caller))
        return token

    def revoke(self, token: str) -> None:
        """The session cannot be resumed any more. Idempotent."""
        ticket = self._tickets.pop(_hash(token), None)
        if ticket is not None:
            self._unpark(ticket)

    def find(self, token: str, caller: Caller | None) -> Conversation:
        """Whose token it is. Raises ResumeError, the same for one that never was, that expired, and of another key."""
        ticket = self._tickets.get(_hash(token))
        if ticket is None or ticket.owner != _owner(caller):
            self._metrics.resumes.labels("refused").inc()
            raise ResumeError("unknown_session", "expected the token of a session that still waits, got another: start the session again")
        return ticket.conversation

    def claim(self, token: str) -> None:
        """Its holder is back, and it waits no longer."""
        self._metrics.resumes.labels("resumed").inc()
        self._unpark(self._tickets[_hash(token)])

    def park(self, token: str) -> bool:
        """The connection broke: waits for its holder. False where too many wait already, all of whose sessions run."""
        ticket = self._tickets[_hash(token)]
        waiting = [other for other in self._tickets.values() if other.expiry is not None]
        of_key = [other for other in waiting if other.owner == ticket.owner] if ticket.owner is not None else []
        if not self._has_room(of_key, self._key_max) or not self._has_room(waiting, self._max):
            self._metrics.resumes.labels("not_kept").inc()
            return False
        ticket.expiry = asyncio.get_running_loop().call_later(self._seconds, self._expire, ticket)
        self._metrics.parked.inc()
        return True

    def _has_room(self, waiting: Sequence[_Ticket], limit: int) -> bool:
        """Where there is none, the oldest whose session is done makes some: less is lost with it than with one that runs."""
        if len([ticket for ticket in waiting if ticket.expiry is not None]) < limit:
            return True
        done = next((ticket for ticket in waiting if ticket.expiry is not None and ticket.conversation.is_done), None)
        if done is not None:
            self._metrics.resumes.labels("not_kept").inc()
            done.conversation.abandon()
        return done is not None

    def parked(self) -> list[Conversation]:
        """Those whose connection is broken."""
        return [ticket.conversation for ticket in self._tickets.values() if ticket.expiry is not None]

    def _unpark(self, ticket: _Ticket) -> None:
        if ticket.expiry is not None:
            ticket.expiry.cancel()
            ticket.expiry = None
            self._metrics.parked.dec()

    def _expire(self, ticket: _Ticket) -> None:
        self._metrics.resumes.labels("expired").inc()
        ticket.conversation.abandon()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _owner(caller: Caller | None) -> object:
    """The key itself, whether it came as such or as a token."""
    return None if caller is None else (caller.name, caller.key.sha256)
