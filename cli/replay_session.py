"""A recorded session once more, under another head or tier, and both side by side. Knows recordings and the client; knows no flag."""

import asyncio
import contextlib
import time
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from proactivellm_client import ClientError, Read, Session, connect
from proactivellm_client.events import parse
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.stream_view import Shown, annotated
from errors import visible
from load.report import Spread
from load.trace import Trace
from server.recording import Recording
from server.wire import ClientMessage, SessionUpdate, SourceAppend, SourceEnd

Timed = Sequence[tuple[float, ClientMessage | bytes]]  # seconds after the session was asked for; bytes are samples


@dataclass
class Run:
    """One of the two sessions."""

    title: str
    head: str = "?"
    threshold: float | None = None
    trace: Trace = field(default_factory=Trace)


def as_recorded(recording: Recording) -> Run:
    """The session as the file has it."""
    run = Run("recorded")
    for line in recording.lines:
        if line.chosen is not None:
            run.head, run.threshold = line.chosen.head, line.chosen.threshold
        elif line.server is not None:
            run.trace.events.append((line.at, parse(line.server.model_dump_json())))
        elif line.audio is not None or isinstance(line.client, SourceAppend | SourceEnd):
            run.trace.sent.append(line.at)
            run.trace.ended = line.at if isinstance(line.client, SourceEnd) else None
    return run


def plan(
    recording: Recording, *, head: str | None, tier: str | None, threshold: float | None, model: str | None
) -> tuple[dict[str, Any], Timed]:
    """Options of the new session, and what is sent when. Under another head or threshold the recorded updates mean nothing: left out."""
    options = recording.head.start.model_dump(exclude={"type", "include", "modality"})
    changed = head is not None or tier is not None or threshold is not None
    if changed:
        options |= {"tier": tier, "threshold": threshold}
    options |= {name: value for name, value in (("head", head), ("model", model)) if value is not None}
    kept = SourceAppend | SourceEnd if changed else SourceAppend | SourceEnd | SessionUpdate
    messages = ((line.at, line.client if line.audio is None else b64decode(line.audio)) for line in recording.lines)
    return options, [(at, message) for at, message in messages if isinstance(message, kept | bytes)]


async def run_again(url: str, options: dict[str, Any], messages: Timed, run: Run, *, speed: float, api_key: str | None = None) -> None:
    """Fills `run`. A client that left, or cancelled, leaves here once all that it had sent is answered. Raises what the client raises."""
    appends = sum(isinstance(message, SourceAppend | bytes) for _, message in messages)
    whole = any(isinstance(message, SourceEnd) for _, message in messages)
    async with connect(url, api_key=api_key).session(**options) as session:
        run.head, run.threshold = session.started.head, session.started.threshold
        sender = asyncio.create_task(_send(session, messages, run.trace, speed))
        try:
            if not (appends or whole):
                await session.cancel()
            async for event in session:
                run.trace.events.append((time.perf_counter(), event))
                if not whole and isinstance(event, Read) and event.n == appends:
                    await session.cancel()
        finally:
            sender.cancel()
            with contextlib.suppress(asyncio.CancelledError, ClientError):  # what it met, the receiver met too
                await sender


async def _send(session: Session, messages: Timed, trace: Trace, speed: float) -> None:
    """Each message when it was sent then."""
    first, started = messages[0][0] if messages else 0.0, time.perf_counter()
    for at, message in messages:
        due = started + (at - first) / speed if speed else 0.0
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        if isinstance(message, SessionUpdate):
            await session.update(tier=message.tier, threshold=message.threshold)
            continue
        trace.sent.append(time.perf_counter())
        if isinstance(message, bytes):
            await session.send_audio(message)
        elif isinstance(message, SourceAppend):
            await session.send(message.text)
        else:
            trace.ended = trace.sent[-1]
            await session.end()


def side_by_side(left: Run, right: Run, width: int) -> RenderableType:
    """Both targets with phi under every word, then their figures."""
    column = max(30, width // 2 - 1)
    table = Table("", left.title, right.title, box=None)
    for name, ours, theirs in zip(FIGURES, figures(left), figures(right), strict=True):
        table.add_row(name, ours, theirs)
    return Group(Columns([_panel(run, column) for run in (left, right)], padding=(0, 1)), table)


def _panel(run: Run, width: int) -> Panel:
    shown = Shown()
    for _, event in run.trace.events:
        shown.take(event)
    body = Group(annotated(shown.words, width - 4), *(Text(note, style="yellow") for note in shown.notes))
    title = Text(visible(f"{run.title} · {run.head}"))  # no markup: a recording may be anybody's
    return Panel(body, title=title, title_align="left", width=width, border_style="cyan")


FIGURES = ("threshold", "first write", "lag, p50", "lag, p95", "done after end", "RCO", "AIL", "tokens", "ended by")


def figures(run: Run) -> tuple[str, ...]:
    """In the order of FIGURES."""
    trace, lags = run.trace, Spread.of(run.trace.lags)
    done = trace.done
    usage = str(done.usage.target_tokens) if done else "-"
    return (
        _number(run.threshold, "{:g}"),
        *(_number(value, "{:.3f} s") for value in (trace.first_write, lags.p50, lags.p95, trace.final_after_end)),
        _number(done.rco if done else None, "{:.2f}"),
        _number(done.ail if done else None, "{:.1f}"),
        usage,
        escape(visible(done.reason)) if done else "-",
    )


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)
