"""How a session is shown: live with rich (the source above, the target below, phi under every word), or as plain lines. Knows no socket."""

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from proactivellm_client import Decision, Done, Error, Event, GoingAway, Read, SessionUpdated, Write
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from errors import visible


@dataclass
class Word:
    """A target word and how many source words were visible to its first token."""

    text: str
    phi: int


@dataclass
class Shown:
    """What a view knows: the source sent (`ms` of sound, None for text), how much of it was read, the target's words, how it ended."""

    source: str = ""
    ms: int | None = None
    phi: int = 0
    words: list[Word] = field(default_factory=list)
    done: Done | None = None
    notes: list[str] = field(default_factory=list)

    def take(self, event: Event) -> None:
        """One event more."""
        if isinstance(event, Write):
            self.phi = event.phi
            for part in _words(event.text):
                last = self.words[-1].text if self.words else ""
                if last.isspace():  # a token of its own: it belongs to the word that follows
                    self.words[-1] = Word(last + part, event.phi)
                elif last and not part[:1].isspace() and not last[-1:].isspace():
                    self.words[-1].text += part
                else:
                    self.words.append(Word(part, event.phi))
        elif isinstance(event, Read):
            self.phi = event.phi
        elif isinstance(event, Done):
            self.done = event
        elif isinstance(event, SessionUpdated):
            self.notes.append(f"threshold {event.threshold:g} from token {event.from_index} on")
        elif isinstance(event, GoingAway):
            self.notes.append(f"the server stops within {event.seconds:g} s")
        elif isinstance(event, Error):
            self.notes.append(visible(f"{event.code}: {event.message}"))


def _words(text: str) -> list[str]:
    """Cut before each blank, so that a word keeps the blank before it."""
    parts: list[str] = []
    for char in text:
        if parts and not (char.isspace() and not parts[-1].isspace()):
            parts[-1] += char
        else:
            parts.append(char)
    return parts


def annotated(words: list[Word], width: int) -> Text:
    """The words in lines of `width`, and under each word its phi."""
    lines: list[tuple[str, str]] = [("", "")]
    for word in words:
        text, mark = visible(" ".join(word.text.split())), str(word.phi)
        cell = max(Text(text).cell_len, len(mark)) + 1
        above, below = lines[-1]
        if above and Text(above).cell_len + cell > width:
            lines.append(("", ""))
            above, below = lines[-1]
        column = Text(above).cell_len
        lines[-1] = (above + text + " " * (cell - Text(text).cell_len), below.ljust(column) + mark)
    out = Text()
    for above, below in lines:
        out.append(above.rstrip() + "\n", style="bold")
        out.append(below + "\n", style="cyan")
    out.rstrip()
    return out


class LiveView:
    """The source above, the words that were read in bright; the target below with phi under every word."""

    def __init__(self, console: Console, title: str) -> None:
        self.shown, self._console, self._title = Shown(), console, title
        self._live = Live(console=console, refresh_per_second=12, vertical_overflow="visible")

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.update(self.render(), refresh=True)
        self._live.__exit__(kind, error, trace)

    def source(self, text: str) -> None:
        """A piece was sent."""
        self.shown.source += text
        self._live.update(self.render())

    def heard(self, ms: int) -> None:
        """So much sound was sent by now."""
        self.shown.ms = ms
        self._live.update(self.render())

    def event(self, event: Event) -> None:
        """An event came."""
        self.shown.take(event)
        self._live.update(self.render())

    def render(self) -> RenderableType:
        """Two panels and a line of figures."""
        shown = self.shown
        unit = "words" if shown.ms is None else "ms"
        source = _text(shown) if shown.ms is None else _meter(shown.phi, shown.ms, self._console.width - 4)
        parts: list[RenderableType] = [
            Panel(source, title=f"source · {self._title}", title_align="left", border_style="dim"),
            Panel(
                annotated(shown.words, self._console.width - 4),
                title=f"target · {unit} read below",
                title_align="left",
                border_style="cyan",
            ),
        ]
        parts.extend(Text(note, style="yellow") for note in shown.notes)
        if shown.done is not None:
            parts.append(Text(summary(shown.done, unit), style="dim"))
        return Group(*parts)


def _text(shown: Shown) -> Text:
    words = visible(shown.source, keep=" \n\t").split()
    return Text(" ".join(words[: shown.phi]), style="bold").append(" " + " ".join(words[shown.phi :]), style="dim")


def _meter(read: int, sent: int, width: int) -> Text:
    """The last minute of sound: what decisions saw in bright, what was sent since in dim."""
    figures = f" {read / 1000:5.1f} s read, {sent / 1000:5.1f} s sent"
    first = max(sent - 60_000, 0)
    column = max(width - len(figures), 1) / max(sent - first, 10_000)  # a column is so many of a ms
    bright, whole = (max(round((ms - first) * column), 0) for ms in (min(read, sent), sent))
    return Text("━" * bright, style="cyan").append("━" * (whole - bright), style="dim").append(figures, style="dim")


class PlainView:
    """One line an event, for pipes and logs."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._seconds: int | None = None  # of sound that was told of

    def source(self, text: str) -> None:
        """A piece was sent."""
        self._say(f"> {text.strip()}")

    def heard(self, ms: int) -> None:
        """So much sound was sent by now; a line a second."""
        if ms // 1000 != self._seconds:
            self._seconds = ms // 1000
            self._say(f"> {self._seconds} s")

    def event(self, event: Event) -> None:
        """An event came; reads say nothing."""
        if isinstance(event, Write):
            self._say(f"< {event.text!r} phi={event.phi}")
        elif isinstance(event, Decision):
            score = "-" if event.score is None else f"{event.score:.3f}"
            self._say(f"? {event.action} score={score} threshold={event.threshold:g} phi={event.phi}")
        elif isinstance(event, Error):
            self._say(f"! {event.code}: {event.message}")
        elif isinstance(event, Done):
            self._say(f"= {event.text!r}")
            self._say(f"= {summary(event, 'words' if self._seconds is None else 'ms')}")

    def _say(self, line: str) -> None:
        self._console.print(visible(line), markup=False, highlight=False, soft_wrap=True)


def summary(done: Done, unit: str = "words") -> str:
    """How it ended, in one line."""
    usage = done.usage
    lag = "" if done.rco is None or done.ail is None else f" · RCO {done.rco:.2f} · AIL {done.ail:.1f} {unit}"
    return f"{visible(done.reason)} · {usage.source_units} {unit} read · {usage.target_tokens} tokens written · {usage.probes} probes{lag}"
