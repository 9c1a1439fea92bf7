"""A folder of files that a thread of its own appends to, within a bound of bytes. Knows names and lines; knows no session.

A disk that is slow, full or broken costs lines, never the event loop: they wait in a bounded queue, and one that is lost is counted.
"""

import errno
import os
import queue
import re
import threading
from pathlib import Path
from typing import Self

import structlog

from errors import InvalidValueError
from server.metrics import Metrics

log = structlog.get_logger()
MAX_WAITING = 4096  # lines
NAME = re.compile(r"\d{8}T\d{6}-[0-9a-f]{32}(\.cut)?\.jsonl")  # they sort by age; no other file is ever touched
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Spool:
    """`limit` is in bytes: beyond it the oldest files are deleted, those still written to included. Files are for their owner only.

    Raises InvalidValueError for a folder that cannot be made or written to.
    """

    def __init__(self, folder: Path, limit: int, metrics: Metrics) -> None:
        self._folder, self._limit, self._metrics = folder, limit, metrics
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sizes = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if NAME.fullmatch(file.name)}
        except OSError as error:
            raise InvalidValueError(f"expected a folder for recordings at {str(folder)!r}: {error.strerror}", param="record") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InvalidValueError(f"expected a folder for recordings that can be written to, got {str(folder)!r}", param="record")
        self._total = sum(self._sizes.values())
        metrics.recorded.set(self._total)
        self._lines: queue.Queue[tuple[str, bytes, bool] | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)

    def __enter__(self) -> Self:
        """Starts the thread."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Writes what waits, then ends the thread."""
        self._lines.put(None)
        self._thread.join()

    def put(self, name: str, line: str, *, begins: bool = False) -> bool:
        """Queues a line without waiting; `begins` a file with it. False if there was no room: the line is lost."""
        try:
            self._lines.put_nowait((name, line.encode(), begins))
        except queue.Full:
            self._metrics.recording_lines_lost.inc()
            return False
        return True

    # ---- in the thread

    def _run(self) -> None:
        while (item := self._lines.get()) is not None:
            name, line, begins = item
            try:
                self._make_room(len(line))
                self._append(name, line, os.O_CREAT | os.O_EXCL if begins else 0)
            except OSError as error:
                self._metrics.recording_lines_lost.inc()
                if name in self._sizes:
                    self._cut(name, error)
            self._metrics.recorded.set(self._total)

    def _append(self, name: str, line: bytes, flags: int) -> None:
        """Opened for each line: no descriptor is held, and a file that is gone is not begun again in its middle."""
        file = os.open(self._folder / name, _APPEND | flags, 0o600)
        try:
            self._sizes.setdefault(name, 0)
            written = os.write(file, line)
            if written < len(line):
                os.ftruncate(file, self._sizes[name])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._sizes[name] += written
            self._total += written
        finally:
            os.close(file)

    def _make_room(self, size: int) -> None:
        while self._sizes and self._total + size > self._limit:
            oldest = next(iter(self._sizes))
            self._total -= self._sizes.pop(oldest)
            (self._folder / oldest).unlink(missing_ok=True)

    def _cut(self, name: str, error: OSError) -> None:
        """Under another name nothing is appended any more: a recording with a hole would replay as another session."""
        log.warning("recording.cut", file=name, error=error.strerror)
        renamed = name.replace(".jsonl", ".cut.jsonl")
        self._sizes[renamed] = self._sizes.pop(name)
        try:
            (self._folder / name).rename(self._folder / renamed)
        except OSError:
            log.exception("recording.not_renamed", file=name)
