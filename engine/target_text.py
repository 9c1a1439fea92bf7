"""Target tokens to text that may be sent: whole characters only, and nothing that a stop string may still take back.

Knows the decoder and the stop strings; knows nothing of decisions.
"""

from collections.abc import Sequence
from typing import Protocol

from backbones.source_codec import is_unsegmented


class Decoder(Protocol):
    """backbones.target_codec.TargetDecoder, or a stand-in."""

    def push(self, token: int) -> str:
        """Text that became complete."""
        ...

    def flush(self) -> str:
        """What remains."""
        ...


class TargetText:
    """One session's text. `sent` was released, `tokens` counts those pushed since the last release."""

    def __init__(self, decoder: Decoder, stop: Sequence[str] = ()) -> None:
        self._decoder, self._stop = decoder, tuple(stop)
        self._held = ""
        self.sent = ""
        self.tokens = 0
        self.stopped = False
        self._apart = False

    def separate(self) -> None:
        """What comes next was written as a new text: where words have blanks between them, one goes before it."""
        self._apart = True

    def push(self, token: int) -> str:
        """Text released by one more token; may be empty. `stopped` turns true once a stop string is complete; it is not released."""
        self.tokens += 1
        self._held += self._joined(self._decoder.push(token))
        return self._release(final=False)

    def flush(self) -> str:
        """What is left at the end of the session."""
        if not self.stopped:
            self._held += self._joined(self._decoder.flush())
        return self._release(final=True)

    def take_count(self) -> int:
        """Tokens since the last release, and starts counting anew."""
        count, self.tokens = self.tokens, 0
        return count

    def _joined(self, text: str) -> str:
        before = self._held[-1:] or self.sent[-1:]
        if not text or not self._apart:
            return text
        self._apart = False
        together = not before or any(char.isspace() or is_unsegmented(char) for char in (before, text[0]))
        return text if together else " " + text

    def _release(self, *, final: bool) -> str:
        found = [at for at in (self._held.find(stop) for stop in self._stop) if at >= 0]
        if found and not self.stopped:
            self.stopped = True
            text, self._held = self._held[: min(found)], ""
        elif final or self.stopped:
            text, self._held = self._held, ""
        else:
            keep = max((_overlap(self._held, stop) for stop in self._stop), default=0)
            text, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        self.sent += text
        return text


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of `text` that begins `stop`."""
    return next((n for n in range(min(len(text), len(stop)), 0, -1) if text.endswith(stop[:n])), 0)
