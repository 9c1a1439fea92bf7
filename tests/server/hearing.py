"""A live server whose tiny model hears, sounds for it, and a neighbour that speaks. Knows no test."""

import io
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import numpy as np
import soundfile

from tests import tiny
from tests.server.live import END, Event, Live, append, receive, send, until

SLOTS, LENGTH = 4, 256
RATE = 16_000
FORMAT = {"format": "pcm16", "rate": RATE, "channels": 1, "silence_gate": False}
START: Event = {"type": "session.start", "task": "listen", "threshold": 0.33, "modality": "audio", "audio": FORMAT}
PCM = tiny.sound(2.5)


def hearing(length: int = LENGTH, **settings: Any) -> Live:
    """The server, with so many slots of so many tokens."""
    memory = tiny.memory(tiny.hearing(), SLOTS, length)
    return Live(lambda *_: tiny.hearing(), **{"kv_memory": memory, "slot_length": length, **settings})


def pieces(pcm: bytes = PCM, size: int = 2 * 1_600) -> list[bytes]:
    """In 100 ms."""
    return [pcm[start : start + size] for start in range(0, len(pcm), size)]


async def neighbour(live: Live, disturb: Callable[[], Awaitable[None]] | None = None) -> list[Event]:
    """A session that hears PCM, with `disturb` in the middle; its events but for `seq` and the session's id."""
    async with live.connect() as ws:
        await send(ws, START)
        assert (await receive(ws))["type"] == "session.started"
        sent = pieces()
        for piece in sent[:12]:
            await ws.send(piece)
        if disturb is not None:
            await disturb()
        for piece in sent[12:]:
            await ws.send(piece)
        await send(ws, END)
        events = await until(ws, "done")
    assert [event.pop("seq") for event in events] == list(range(2, len(events) + 2))
    return events


async def reads_text(live: Live, task: str) -> None:
    """A session of text on a model that hears: its unit is the word."""
    async with live.connect() as ws:
        await send(ws, {"type": "session.start", "task": task})
        assert (await receive(ws))["unit"] == "word"
        await send(ws, append("dog "), END)
        assert (await until(ws, "done"))[-1]["usage"]["source_units"] == 1


def sound_file(kind: str = "WAV", seconds: float = 2.5, *, rate: int = RATE, channels: int = 1, subtype: str | None = None) -> bytes:
    """So much sound as a file."""
    samples = np.frombuffer(tiny.sound(seconds), dtype=np.int16)[:, None].repeat(channels, axis=1)
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype=subtype)
    return out.getvalue()


def texts(events: Sequence[Event]) -> str:
    """All that was written."""
    return "".join(event["text"] for event in events if event["type"] == "write")
