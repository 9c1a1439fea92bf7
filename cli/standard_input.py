"""Standard input for a command that may end, or be interrupted, while it waits for more. Knows asyncio and threads; no session."""

import asyncio
import contextlib
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sized
from typing import Any, BinaryIO, TextIO, TypeVar

from errors import InvalidValueError

Piece = TypeVar("Piece", bound=Sized)


def text() -> TextIO:
    """Standard input as text. Raises InvalidValueError where it is closed."""
    stream = _there()
    alone: TextIO = _alone(stream, "r", encoding=stream.encoding, errors=stream.errors) or stream
    return alone


def binary() -> BinaryIO:
    """Its bytes. Raises InvalidValueError where it is closed."""
    stream = _there()
    alone: BinaryIO = _alone(stream, "rb") or stream.buffer
    return alone


async def pieces(read: Callable[[], Piece | None]) -> AsyncIterator[Piece]:
    """What a blocking `read` returns, up to the first that is empty. Raises what it raises.

    Each is read in a thread that nobody waits for: a read of a terminal or a pipe cannot be cancelled, and the threads that asyncio
    lends are joined when the program ends.
    """
    loop = asyncio.get_running_loop()

    def settle(came: "asyncio.Future[Piece]", piece: Piece | None, error: BaseException | None) -> None:
        if came.done():  # the command has ended meanwhile
            return
        if error is not None:
            came.set_exception(error)
        elif piece is not None:
            came.set_result(piece)

    def run(came: "asyncio.Future[Piece]") -> None:
        piece, failed = None, None
        try:
            while (piece := read()) is None:  # one that must not block, as it was inherited
                time.sleep(0.05)
        except BaseException as error:
            failed = error
        with contextlib.suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(settle, came, piece, failed)

    while True:
        came: asyncio.Future[Piece] = loop.create_future()
        threading.Thread(target=run, args=(came,), daemon=True).start()
        if not len(piece := await came):
            return
        yield piece


def _there() -> TextIO:
    if sys.stdin is None:
        raise InvalidValueError("expected standard input, got one that is closed", param="file")
    return sys.stdin


def _alone(stream: TextIO, mode: str, **options: Any) -> Any:
    """The same input with a buffer of its own, or None where it is no file: the interpreter clears its own buffer when it ends, which a
    thread that waits in it forbids."""
    try:
        return open(os.dup(stream.fileno()), mode, **options)
    except (OSError, AttributeError):
        return None
