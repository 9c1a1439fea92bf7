"""What SimulEval must find: sentences, and the delay of each target word worked out from a plain websocket session. Knows no SimulEval."""

import asyncio
import random
import re
from collections.abc import Sequence
from typing import Any

from tests.server.live import END, SLOTS, Live, append, receive, send, until

Delays = list[tuple[str, int]]  # word, and the source words that were visible when it was complete
_WORDS = [
    "the",
    "a",
    "dog's",
    "cats",
    "birds,",
    "sat",
    "sang:",
    "(in)",
    "garden,",
    "Привет",
    "café",
    "über",
    "1,234",
    "hello-world.",
    "Yes!",
]


def sentences(count: int = 50) -> list[str]:
    """Of one to fourteen words each; always the same."""
    chosen = random.Random(7)
    return [" ".join(chosen.choices(_WORDS, k=chosen.randint(1, 14))) for _ in range(count)]


def record(live: Live, sources: Sequence[str], start: dict[str, Any]) -> list[Delays]:
    """One session for each sentence, word by word; `start` holds the fields of its session.start."""

    async def all_of_them() -> list[Delays]:
        free = asyncio.Semaphore(SLOTS)

        async def one(source: str) -> Delays:
            async with free:
                return await _one(live, source, start)

        return await asyncio.gather(*map(one, sources))

    return asyncio.run(all_of_them())


async def _one(live: Live, source: str, start: dict[str, Any]) -> Delays:
    async with live.connect() as ws:
        await send(ws, {"type": "session.start", **start})
        assert (await receive(ws))["type"] == "session.started"
        await send(ws, *(append(f"{word} ") for word in source.split()), END)
        events = await until(ws, "done")
    writes, done = [event for event in events if event["type"] == "write"], events[-1]
    text = "".join(event["text"] for event in writes)
    assert text == done["text"]
    phi = [event["phi"] for event in writes for _ in event["text"]] + [done["usage"]["source_units"]]  # of each character, and of the end
    return [(word[0], phi[word.end()]) for word in re.finditer(r"\S+", text)]
