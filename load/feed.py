"""What one client streams, and when: the one place that knows whether it is text or sound. Knows no clock and no socket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, count
from pathlib import Path
from random import Random
from typing import Any

from proactivellm_client import Session

from backbones.audio_forwards import blocks, forwards
from errors import InvalidValueError
from tasks.words import pieces

PIECE_MS = 100  # of sound, sent at a time


@dataclass(frozen=True)
class Feed:
    """One source: words, or pcm16. `name` tells it from others; piece i is due `due[i]` seconds after the session's start.

    options: of the client's `session`, beside those that all feeds have
    """

    name: str
    pieces: Sequence[str | bytes]
    due: Sequence[float]
    options: Mapping[str, Any] = field(default_factory=dict)

    async def give(self, session: Session, index: int) -> None:
        """Sends piece `index`."""
        piece = self.pieces[index]
        await (session.send(piece) if isinstance(piece, str) else session.send_audio(piece))

    @property
    def is_sound(self) -> bool:
        """Its units are milliseconds, not words."""
        return "audio" in self.options

    @property
    def seconds(self) -> float:
        """When its last piece is due."""
        return self.due[-1] if self.due else 0.0


def text_feeds(sources: Sequence[str], words_per_second: float) -> list[Feed]:
    """One feed a source, a word at a time; 0 words a second is as fast as they are taken. Raises InvalidValueError for no words at all."""
    pause = 1 / words_per_second if words_per_second > 0 else 0.0
    cut = [pieces(source) for source in sources if source.strip()]
    if not cut:
        raise InvalidValueError("expected at least one source with a word in it, got none", param="source")
    return [Feed(f"source {number}", words, [i * pause for i in range(len(words))]) for number, words in zip(count(1), cut, strict=False)]


def sound_feeds(files: Sequence[Path]) -> list[Feed]:
    """One feed a recording, mixed to mono; a piece is due when its last sample would have been recorded.

    Raises InvalidValueError for a file that cannot be read or is empty, and where soundfile is not installed.
    """
    try:
        import soundfile  # type: ignore[import-untyped]  # noqa: PLC0415 (of the extra `audio`)
    except ImportError:
        raise InvalidValueError("expected soundfile for --audio; install it: pip install soundfile", param="audio") from None
    feeds = []
    for file in files:
        try:
            with forwards(soundfile.SoundFile(str(file))) as sound:
                rate = sound.samplerate
                found = [block.mean(axis=1).astype("int16") for block in blocks(sound, rate * PIECE_MS // 1000, "int16")]
        except (soundfile.SoundFileError, OSError) as error:
            raise InvalidValueError(f"expected a WAV, FLAC or Ogg file at {str(file)!r}: {error}", param="audio") from None
        if not found:
            raise InvalidValueError(f"expected sound in {str(file)!r}, got an empty file", param="audio")
        ends = [end / rate for end in accumulate(map(len, found))]
        feeds.append(Feed(str(file), [block.tobytes() for block in found], ends, {"audio": {"format": "pcm16", "rate": rate}}))
    return feeds


def late_start(feeds: Sequence[Feed], rng: Random) -> float:
    """Seconds that a client waits before its first session: spread over a mean session, so that no two keep step."""
    return rng.uniform(0, sum(feed.seconds for feed in feeds) / len(feeds))


SOURCES = (
    "The museum of the old town is open every day but Monday. From Tuesday to Saturday it is open from nine to six.",
    "On Sundays the gates open an hour later, and children pay half the price of a ticket when they come with their parents.",
    "The dog sleeps under the table.",
    "When the rain stopped, the farmer walked down to the river to see whether the bridge was still there. It was, but the water "
    "had risen to the planks, and nobody dared to cross it before the evening.",
    "Please bring two copies of the contract, your passport and a recent photograph to the meeting on Thursday.",
    "The train to the coast leaves at ten past seven from platform four; passengers for the islands change at the next stop and "
    "take the ferry, which waits for them.",
    "She said that the letter had arrived a week ago, that she had read it twice, and that she still did not know what to answer.",
    "A good map shows where the road ends.",
)
