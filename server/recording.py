"""Recordings: a session as JSON lines, what the client sent and what it got, with times. Opt-in: they hold what people said.

The first line is a `Head`, each further one a `Line`. Knows files and a session's messages; knows no socket and no engine.
"""

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.actions import Append, Done, End, Update
from engine.request import Request
from errors import InvalidValueError
from server import wire
from server.events import to_error, to_start, to_wire
from server.handle import Asked, Cancel, Crashed, Handle, Opened, Outcome, Refused, Retune
from server.spool import Spool


class Head(BaseModel):
    """How the session was asked for. `at` is when, in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    recording: Literal[1] = 1
    session: str
    at: datetime
    start: wire.SessionStart


class Chosen(BaseModel):
    """What the server chose."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    model: str
    head: str
    threshold: float


class Line(BaseModel):
    """One message. `at` is in seconds since the session was asked for; `seq` of server events counts within the session.

    Exactly one of the others is set; `left` says that the client was gone before the session was done.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    at: float
    client: wire.ClientMessage | None = None
    chosen: Chosen | None = None
    server: wire.AnyServerEvent | None = None
    left: Literal[True] | None = None


class Recording(BaseModel):
    """A whole file."""

    model_config = ConfigDict(frozen=True)
    head: Head
    lines: tuple[Line, ...] = Field(default=())


def read_recording(file: Path) -> Recording:
    """Raises InvalidValueError for a file that is none; a last line that was cut off is left out."""
    try:
        first, *rest = file.read_text(encoding="utf-8").split("\n")
        head = Head.model_validate_json(first)
        if rest and not _is_whole(rest[-1]):
            del rest[-1]
        return Recording(head=head, lines=tuple(Line.model_validate_json(line) for line in rest))
    except OSError as error:
        raise InvalidValueError(f"expected a recording at {str(file)!r}: {error.strerror}", param="file") from None
    except (ValidationError, ValueError):
        raise InvalidValueError(f"expected a recording at {str(file)!r}, got a file that is none", param="file") from None


def _is_whole(line: str) -> bool:
    return line.endswith("}")


class Recorder:
    """Makes the watcher that records a session into the spool."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool

    def watch(self, handle: Handle, model: str | None, request: Request) -> "SessionRecorder":
        """Begins a file for the session."""
        now = datetime.now(UTC)
        name = f"{now:%Y%m%dT%H%M%S}-{handle.session_id}.jsonl"
        return SessionRecorder(self._spool, name, Head(session=handle.session_id, at=now, start=to_start(request, model)))


class SessionRecorder:
    """One session's file. The first line that is lost ends it: one with a hole would replay as another session."""

    def __init__(self, spool: Spool, name: str, head: Head) -> None:
        self._spool, self._name = spool, name
        self._started = time.monotonic()
        self._seq = 0
        self._over = False
        self._write(head, begins=True)

    def _write(self, line: Head | Line, *, begins: bool = False) -> None:
        if not self._over:
            fields = {name: value for name, value in line.model_dump(mode="json").items() if value is not None}
            self._over = not self._spool.put(self._name, json.dumps(fields, ensure_ascii=False) + "\n", begins=begins)

    def sent(self, asked: Asked) -> None:
        """What the client sent."""
        self._write(Line(at=self._at(), client=_message(asked)))

    def came(self, outcome: Outcome) -> None:
        """What the client got."""
        at = self._at()
        if isinstance(outcome, Opened):
            self._write(Line(at=at, chosen=Chosen(model=outcome.model, head=outcome.head, threshold=outcome.threshold)))
            return
        self._seq += 1
        event = to_error(outcome.error, self._seq) if isinstance(outcome, Refused | Crashed) else to_wire(outcome, self._seq)
        self._write(Line.model_validate({"at": at, "server": event}))
        self._over = self._over or isinstance(outcome, Done | Crashed)

    def left(self) -> None:
        """The client is gone."""
        self._write(Line(at=self._at(), left=True))
        self._over = True

    def _at(self) -> float:
        return round(time.monotonic() - self._started, 6)


def _message(asked: Asked) -> wire.ClientMessage:
    match asked:
        case Append():
            return wire.SourceAppend(type="source.append", text=asked.text)
        case End():
            return wire.SourceEnd(type="source.end")
        case Cancel():
            return wire.SessionCancel(type="session.cancel")
        case Retune():
            return wire.SessionUpdate(type="session.update", tier=asked.tier, threshold=asked.threshold)
        case Update():
            return wire.SessionUpdate(type="session.update", threshold=asked.threshold)
