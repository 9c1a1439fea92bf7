"""Sound for `proactivellm stream --audio`: a file, headerless PCM on standard input, or the microphone, sent as it would be recorded.

Knows sound and time; of the session only how samples are sent.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from proactivellm_client import Session

from backbones.audio_forwards import forwards
from cli import standard_input
from errors import InvalidValueError

PIECE_MS = 100  # sent at a time
BYTES = 2  # of a sample: pcm16


@dataclass(frozen=True)
class Sound:
    """Samples to send. `pieces` gives pcm16 of PIECE_MS each; `live`: they come as they are recorded, and need no pacing."""

    rate: int
    channels: int
    pieces: Callable[[], AsyncIterator[bytes]]
    live: bool = False

    def options(self, *, silence_gate: bool) -> dict[str, Any]:
        """What the session is started with."""
        return {"format": "pcm16", "rate": self.rate, "channels": self.channels, "silence_gate": silence_gate}

    async def send(self, session: Session, pace: float, heard: Callable[[int], None]) -> None:
        """Sends it all, each piece when its last sample would have been recorded, `pace` times as fast; 0: at once.

        Due times are counted in samples from the first one on, so that no delay adds up. `heard`: how many ms were sent.
        """
        started, sent = time.perf_counter(), 0
        async for piece in self.pieces():
            sent += len(piece) // (BYTES * self.channels)
            if pace and not self.live:
                await asyncio.sleep(max(0.0, started + sent / self.rate / pace - time.perf_counter()))
            await session.send_audio(piece)
            heard(1000 * sent // self.rate)
        await session.end()


def open_sound(name: str, rate: int) -> Sound:
    """`mic`, `-` (pcm16, mono, at `rate`), or a file. Raises InvalidValueError."""
    if name == "mic":
        return Sound(rate, 1, lambda: _microphone(rate), live=True)
    if name == "-":
        stream = standard_input.binary()
        return Sound(rate, 1, lambda: _raw(stream, rate))
    return _file(Path(name))


def _file(path: Path) -> Sound:
    try:
        import soundfile  # type: ignore[import-untyped]  # noqa: PLC0415 (of the extra `audio`)
    except ImportError:
        raise InvalidValueError("expected soundfile for --audio FILE; install it: pip install soundfile", param="audio") from None
    try:
        about = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        raise InvalidValueError(f"expected a WAV, FLAC or Ogg file at {str(path)!r}: {error}", param="audio") from None

    async def pieces() -> AsyncIterator[bytes]:
        try:
            with forwards(soundfile.SoundFile(str(path))) as sound:
                size = sound.samplerate * PIECE_MS // 1000
                while len(block := await asyncio.to_thread(sound.read, size, dtype="int16")):
                    yield block.tobytes()
        except (soundfile.SoundFileError, OSError) as error:
            raise InvalidValueError(f"expected sound in {str(path)!r} up to its end: {error}", param="audio") from None

    return Sound(about.samplerate, about.channels, pieces)


async def _raw(stream: BinaryIO, rate: int) -> AsyncIterator[bytes]:
    """Read in threads, so that what comes back is shown meanwhile."""
    size = BYTES * (rate * PIECE_MS // 1000)
    async for piece in standard_input.pieces(lambda: stream.read(size)):
        yield piece[: len(piece) // BYTES * BYTES]  # a pipe may break off within a sample


async def _microphone(rate: int) -> AsyncIterator[bytes]:
    try:
        import sounddevice  # type: ignore[import-not-found]  # noqa: PLC0415 (nobody else needs it)
    except (ImportError, OSError) as error:  # the package, or the library that it is for
        raise InvalidValueError(
            f"expected sounddevice for --audio mic ({error}); install it: pip install sounddevice", param="audio"
        ) from None
    loop = asyncio.get_running_loop()
    came: asyncio.Queue[bytes] = asyncio.Queue(10 * 1000 // PIECE_MS)  # ten seconds; a network that is slower than that loses some

    def keep(piece: bytes) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            came.put_nowait(piece)

    def record(data: Any, *_: object) -> None:
        loop.call_soon_threadsafe(keep, bytes(data))

    try:
        stream = sounddevice.RawInputStream(samplerate=rate, channels=1, dtype="int16", blocksize=rate * PIECE_MS // 1000, callback=record)
    except sounddevice.PortAudioError as error:
        raise InvalidValueError(f"expected a microphone: {error}", param="audio") from None
    with stream:
        while True:
            yield await came.get()
