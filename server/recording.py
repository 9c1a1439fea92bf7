"""Recordings: a session as JSON lines, what the client sent and what it got, with times. Opt-in: they hold what people said.

The first line is a `Head`, each further one a `Line`. Knows files and a session's messages; knows no socket and no engine.
"""

import base64
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from engine.actions import Append, AppendAudio, Done, End, Update
from engine.request import Request
from errors import InvalidValueError, first_fault, in_our_words
from server import wire
from server.events import to_error, to_start, to_wire
from server.handle import Asked, Cancel, Crashed, Handle, Opened, Outcome, Refused, Retune
from server.spool import Spool

MAX_SECONDS = 366 * 86_400  # of a session


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


def _base64(text: str) -> str:
    base64.b64decode(text, validate=True)
    return text


class Line(BaseModel):
    """One message. `at` is in seconds since the session was asked for; `seq` of server events counts within the session.

    Exactly one of the others is set; `audio` is a binary frame in base64; `left` says that the client was gone before the session was done.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    at: float = Field(ge=0, le=MAX_SECONDS, allow_inf_nan=False)
    client: wire.ClientMessage | None = None
    audio: Annotated[str, AfterValidator(_base64)] | None = None
    chosen: Chosen | None = None
    server: wire.AnyServerEvent | None = None
    left: Literal[True] | None = None


class Recording(BaseModel):
    """A whole file. An event answers a source message that stands before it."""

    model_config = ConfigDict(frozen=True)
    head: Head
    lines: tuple[Line, ...] = Field(default=())

    @model_validator(mode="after")
    def _answers(self) -> Self:
        sent = reads = 0
        for number, line in enumerate(self.lines, 2):
            sent += isinstance(line.client, wire.SourceAppend | wire.SourceEnd) or line.audio is not None
            reads += isinstance(line.server, wire.Read)
            n = getattr(line.server, "n", None)
            if reads > sent or (n is not None and not 1 <= n <= sent):
                raise ValueError(f"line {number}: expected an answer to one of the {sent} source messages before it, got another")
        return self


Parsed = TypeVar("Parsed", bound=BaseModel)


def read_recording(file: Path) -> Recording:
    """Raises InvalidValueError for a file that is none; a last line that was cut off is left out."""
    try:
        first, *rest = file.read_text(encoding="utf-8").split("\n")
        if rest and not _is_whole(rest[-1]):
            del rest[-1]
        lines = tuple(_parse(Line, line, number) for number, line in enumerate(rest, 2))
        return Recording(head=_parse(Head, first, 1), lines=lines)
    except OSError as error:
        raise InvalidValueError(f"expected a recording at {str(file)!r}: {error.strerror}", param="file") from None
    except ValidationError as error:
        why = first_fault(error, "")[1]
    except ValueError as error:
        why = str(error)
    raise InvalidValueError(f"expected a recording at {str(file)!r}, got a file that is none: {in_our_words(why)}", param="file")


def _parse(kind: type[Parsed], line: str, number: int) -> Parsed:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        where, told = first_fault(error, "")
        raise ValueError(": ".join(part for part in (f"line {number}", where, in_our_words(told)) if part)) from None


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
        if isinstance(asked, AppendAudio):
            self._write(Line(at=self._at(), audio=base64.b64encode(asked.pcm).decode()))
        else:
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


def _message(asked: Append | End | Update | Cancel | Retune) -> wire.ClientMessage:
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
