"""What one client streams, and when: the one place that knows whether it is text. Knows no clock and no socket.

Audio is another `Feed`: one whose pieces are blocks of samples, due every block.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from random import Random

from proactivellm_client import Session

from errors import InvalidValueError
from tasks.words import pieces


@dataclass(frozen=True)
class Feed:
    """One source. `name` tells it from others; piece i is due `due[i]` seconds after the session's start."""

    name: str
    pieces: Sequence[str]
    due: Sequence[float]

    async def give(self, session: Session, index: int) -> None:
        """Sends piece `index`."""
        await session.send(self.pieces[index])

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
