"""`proactivellm stream`: sends a source at a chosen pace, text word by word, and shows what comes back. Knows the client only."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol, TextIO

from proactivellm_client import Done, Event, Session, connect

from cli import standard_input
from errors import InvalidValueError
from tasks.words import pieces


class View(Protocol):
    """What shows a session: stream_view.py's two."""

    def source(self, text: str) -> None:
        """A piece was sent."""
        ...

    def heard(self, ms: int) -> None:
        """So much sound was sent by now."""
        ...

    def event(self, event: Event) -> None:
        """An event came."""
        ...


Send = Callable[[Session, View], Awaitable[None]]  # all of a source, and its end


def options(flags: dict[str, Any]) -> dict[str, Any]:
    """Flags of the command as options of a session. Raises InvalidValueError for an input without `=`."""
    inputs = {}
    for given in flags.pop("input", None) or []:
        name, equals, value = given.partition("=")
        if not equals:
            raise InvalidValueError(f"expected --input name=text, got {given!r}", param="input")
        inputs[name] = value
    return {"inputs": inputs or None, **flags}


async def stream(
    url: str,
    task: str,
    session_options: dict[str, Any],
    send: Send,
    view: View,
    *,
    api_key: str | None = None,
    resume: bool = False,
    replay: bool = False,
) -> Done:
    """Runs one session to its end, over several connections if it may `resume` or `replay`. Raises what the client raises."""
    async with connect(url, api_key=api_key, resume=resume, replay=replay).session(task, **session_options) as session:
        sender = asyncio.ensure_future(send(session, view))
        receiver = asyncio.create_task(_receive(session, view.event))
        try:
            await asyncio.wait({sender, receiver}, return_when=asyncio.FIRST_COMPLETED)
            if not receiver.done():
                await sender  # a source that cannot be read, or sent, has no answer to wait for
            await receiver
        finally:
            sender.cancel()
            receiver.cancel()
            await asyncio.gather(sender, receiver, return_exceptions=True)  # what both met is told once
    assert session.done is not None
    return session.done


async def _receive(session: Session, show: Callable[[Event], None]) -> None:
    async for event in session:
        show(event)


def words(text: TextIO, words_per_second: float) -> Send:
    """A text, word by word; 0: as fast as it is read."""
    pause = 1 / words_per_second if words_per_second > 0 else 0.0

    async def send(session: Session, view: View) -> None:
        # In threads, so that what comes back is shown meanwhile.
        async for line in standard_input.pieces(text.readline):
            for piece in pieces(line):
                view.source(piece)
                await session.send(piece)
                await asyncio.sleep(pause)
        await session.end()

    return send
