"""Log lines on standard error: JSON, or text for people; those of libraries in the same form. Knows no event and no stream content.

What a line holds, its caller decides: names, counts and a session's id, never the source or the target.
"""

import io
import logging
import sys
import textwrap
from typing import Literal, TextIO

import structlog
from structlog.types import EventDict, ExcInfo, Processor, WrappedLogger

from errors import visible

LogFormat = Literal["auto", "json", "text"]


def configure_logs(level: str, form: LogFormat = "auto") -> None:
    """`level` as in the settings; `auto` is text on a terminal and JSON elsewhere."""
    number = logging.getLevelNamesMapping()[level.upper()]
    as_text = sys.stderr.isatty() if form == "auto" else form == "text"
    # Rich tracebacks, the default for people, show local variables: keys, and what clients stream.
    for_people = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback)
    render: Processor = for_people if as_text else structlog.processors.JSONRenderer(ensure_ascii=False)
    shared: list[Processor] = [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    # The renderer for people shows an exception by itself. JSON escapes control characters.
    shared.append(_make_visible if as_text else structlog.processors.format_exc_info)
    structlog.configure(
        processors=[structlog.processors.add_log_level, *shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _take_over_logging(number, [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, *shared], render)


def _make_visible(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Strings may be a client's. What is no string is shown by `repr`, which escapes by itself."""
    return {name: visible(value) if isinstance(value, str) else value for name, value in event.items()}


def _traceback(out: TextIO, exception: ExcInfo) -> None:
    """Indented: a message may have lines, and none of them is to look like one of the log."""
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exception)
    out.write(textwrap.indent(visible(plain.getvalue(), keep="\n"), "  "))


def _take_over_logging(level: int, shared: list[Processor], render: Processor) -> None:
    """Libraries log by the standard module. Below a warning they would show frames, that is, what clients stream."""
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove, render], foreign_pre_chain=shared))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(True)
