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
MAX_WAITING, MAX_WAITING_BYTES = 4096, 16 << 20  # lines, and all of them together
NAME = re.compile(r"\d{8}T\d{6}-[0-9a-f]{32}(\.cut)?\.jsonl")  # they sort by age; no other file is ever touched
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Spool:
    """`limit` is in bytes: beyond it the oldest files are deleted, those still written to included. Files are for their owner only.

    A line for which its own file would have to go is lost instead, and ends that file: nothing is deleted for what is not kept either.

    Raises InvalidValueError for a folder that cannot be made or written to.
    """

    def __init__(self, folder: Path, limit: int, metrics: Metrics) -> None:
        self._folder, self._limit, self._metrics = folder, limit, metrics
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sizes = {file.name: file.lstat().st_size for file in sorted(folder.iterdir()) if NAME.fullmatch(file.name)}
        except OSError as error:
            raise InvalidValueError(f"expected a folder for recordings at {str(folder)!r}: {error.strerror}", param="record") from None
        if not os.access(folder, os.W_OK | os.X_OK):
            raise InvalidValueError(f"expected a folder for recordings that can be written to, got {str(folder)!r}", param="record")
        self._total = sum(self._sizes.values())
        metrics.recorded.set(self._total)
        self._lines: queue.Queue[tuple[str, bytes, bool] | None] = queue.Queue(MAX_WAITING)
        self._waiting, self._lock = 0, threading.Lock()  # bytes of those lines
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
        data = line.encode()
        try:
            with self._lock:
                if self._waiting + len(data) > MAX_WAITING_BYTES:
                    raise queue.Full
                self._lines.put_nowait((name, data, begins))
                self._waiting += len(data)
        except queue.Full:
            self._metrics.recording_lines_lost.inc()
            return False
        return True

    # ---- in the thread

    def _run(self) -> None:
        while (item := self._lines.get()) is not None:
            name, line, begins = item
            with self._lock:
                self._waiting -= len(line)
            try:
                self._append(name, line, begins=begins)
            except OSError as error:
                self._metrics.recording_lines_lost.inc()
                if name in self._sizes:
                    self._cut(name, error)
            self._metrics.recorded.set(self._total)

    def _append(self, name: str, line: bytes, *, begins: bool) -> None:
        """Opened for each line: no descriptor is held, and a file that is gone, or was cut, is not begun again in its middle."""
        if not begins and name not in self._sizes:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        file = os.open(self._folder / name, _APPEND | (os.O_CREAT | os.O_EXCL if begins else 0), 0o600)
        try:
            self._sizes.setdefault(name, 0)
            self._make_room(name, len(line))
            written = os.write(file, line)
            if written < len(line):
                os.ftruncate(file, self._sizes[name])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._sizes[name] += written
            self._total += written
        finally:
            os.close(file)

    def _make_room(self, name: str, size: int) -> None:
        """Deletes the oldest files. Raises OSError, and has deleted nothing, where the line would not fit without its own file."""
        room, doomed = self._limit - self._total, []
        for oldest, length in self._sizes.items():
            if room >= size or oldest == name:
                break
            doomed.append(oldest)
            room += length
        if room < size:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        for oldest in doomed:
            (self._folder / oldest).unlink(missing_ok=True)  # first, as one that cannot be deleted still takes its bytes
            self._total -= self._sizes.pop(oldest)

    def _cut(self, name: str, error: OSError) -> None:
        """Under another name nothing is appended any more: a recording with a hole would replay as another session."""
        log.warning("recording.cut", file=name, error=error.strerror)
        renamed = name.replace(".jsonl", ".cut.jsonl")
        self._sizes = {renamed if each == name else each: size for each, size in self._sizes.items()}  # as old as it was
        try:
            (self._folder / name).rename(self._folder / renamed)
        except OSError:
            log.exception("recording.not_renamed", file=name)
