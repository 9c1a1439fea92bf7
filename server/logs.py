"""Log lines on standard error: JSON, or text for people; those of libraries in the same form. Knows no event and no stream content.

What a line holds, its caller decides: names, counts and a session's id, never the source or the target.
"""

import logging
import sys
from typing import Literal

import structlog
from structlog.types import Processor

LogFormat = Literal["auto", "json", "text"]


def configure_logs(level: str, form: LogFormat = "auto") -> None:
    """`level` as in the settings; `auto` is text on a terminal and JSON elsewhere."""
    number = logging.getLevelNamesMapping()[level.upper()]
    as_text = sys.stderr.isatty() if form == "auto" else form == "text"
    # Rich tracebacks, the default for people, show local variables: keys, and what clients stream.
    for_people = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
    render: Processor = for_people if as_text else structlog.processors.JSONRenderer(ensure_ascii=False)
    shared: list[Processor] = [structlog.processors.TimeStamper(fmt="iso", utc=True)]
    if not as_text:  # the renderer for people shows an exception by itself
        shared.append(structlog.processors.format_exc_info)
    structlog.configure(
        processors=[structlog.processors.add_log_level, *shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    _take_over_logging(number, [structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name, *shared], render)


def _take_over_logging(level: int, shared: list[Processor], render: Processor) -> None:
    """Libraries log by the standard module. Below a warning they would show frames, that is, what clients stream."""
    handler = logging.StreamHandler(sys.stderr)
    remove = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processors=[remove, render], foreign_pre_chain=shared))
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(True)
