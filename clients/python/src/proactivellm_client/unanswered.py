"""What the server may not have got: the newest frames that were sent, and when to try to send them again. Knows no socket."""

import random
import threading
from collections import deque
from collections.abc import Iterator

FRAMES, BYTES = 4096, 1 << 24  # that are kept; more without an answer cannot be sent again
DELAYS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # seconds before each attempt; a server keeps a slot for seconds, not for minutes


def pauses() -> Iterator[float]:
    """Seconds before each attempt: many clients that lost the same server must not come back together."""
    return (delay * random.uniform(0.5, 1.0) for delay in DELAYS)  # noqa: S311 (not a secret)


class Unanswered:
    """Frames numbered 1, 2, … as they were sent; source messages have a number of their own, `n`, and the start is 0.

    whole: all of the session is kept, from its start on and without a bound, so that it can be begun again. Safe between threads.
    """

    def __init__(self, *, whole: bool = False) -> None:
        self._whole = whole
        self._lock = threading.Lock()
        self._kept: deque[tuple[str | bytes, int | None]] = deque()
        self._size = 0
        self._sent = 0

    def add(self, frame: str | bytes, n: int | None) -> None:
        """A frame that is about to be sent; n: its source message, None if it is none."""
        with self._lock:
            if self._whole and n == 0:
                self._kept.clear()
            self._kept.append((frame, n))
            self._sent += 1
            self._size += len(frame)
            while not self._whole and (len(self._kept) > FRAMES or self._size > BYTES):
                self._drop()

    def arrived(self, n: int) -> None:
        """The server has source message n, and so all that was sent before it."""
        with self._lock:
            if not self._whole and any(other == n for _, other in self._kept):
                while self._drop() != n:
                    pass

    def first(self) -> str | bytes:
        """The oldest frame that is kept: where all of a session is, its start."""
        with self._lock:
            return self._kept[0][0]

    def restart(self) -> None:
        """What is kept is all that the server of the next connection is sent: the start is number 1."""
        with self._lock:
            self._sent = len(self._kept)

    def after(self, number: int) -> str | bytes | None:
        """The frame that was sent right after the `number`-th; None if that was the last. Raises LookupError for one that is not kept."""
        with self._lock:
            first = self._sent - len(self._kept) + 1
            if not first <= number + 1 <= self._sent + 1:
                raise LookupError(f"expected frames from {number + 1} on to be kept, they are from {first}")
            return None if number == self._sent else self._kept[number + 1 - first][0]

    def _drop(self) -> int | None:
        frame, n = self._kept.popleft()
        self._size -= len(frame)
        return n
