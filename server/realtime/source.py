"""The source that a client sends in pieces, before and while it is read. Knows no item, no event and no engine."""

from engine.actions import Message
from errors import BadStateError
from server.realtime.messages import RefusedError

Piece = tuple[Message, int]  # and its bytes


class Source:
    """Pieces that wait for a session to read them, and what has become of the source they belong to.

    audio:    it is heard, not written
    begun:    a piece of the source that waits has come, maybe an empty one
    complete: it is all there
    read:     a session reads the pieces as they come
    left:     the session that read them is done already: the rest of the source is for nobody
    lost:     the last piece was such a rest
    """

    def __init__(self, max_pieces: int, max_bytes: int, max_audio_bytes: int) -> None:
        self.audio = self.begun = self.complete = self.read = self.left = self.lost = False
        self._pieces: list[Piece] = []
        self._size, self._max_pieces, self._max_bytes, self._max_audio_bytes = 0, max_pieces, max_bytes, max_audio_bytes

    def check(self, *, audio: bool) -> None:
        """Raises BadStateError for audio in a written source, and for text in one that is heard."""
        if self.audio != audio and (self.begun or self.read):
            raise BadStateError(f"expected {'audio' if self.audio else 'text'}, as the source so far is; got the other")
        self.audio = audio

    def loses(self, *, last: bool) -> bool:
        """True for a piece of a source whose session is done already; with the last one that source is over."""
        self.lost, self.left = self.left, self.left and not last
        return self.lost

    def wait(self, piece: Piece | None, *, last: bool) -> None:
        """Keeps a piece, None for an empty one. Raises RefusedError for more than a session may read."""
        size, most = 0 if piece is None else piece[1], self._max_audio_bytes if self.audio else self._max_bytes
        if len(self._pieces) >= self._max_pieces or self._size + size > most:
            raise RefusedError(
                "source_too_long", f"expected at most {self._max_pieces} pieces and {most} bytes of source before it is read, got more"
            )
        self.begun, self.complete = True, last
        self._size += size
        if piece is not None:
            self._pieces.append(piece)

    def take(self) -> list[Piece]:
        """The pieces that waited. From now on a session reads what comes, unless this was all."""
        pieces, self.read = self._pieces, not self.complete
        self.forget()
        return pieces

    def forget(self) -> None:
        """Nothing waits any more."""
        self._pieces, self._size = [], 0
        self.begun = self.complete = False

    def over(self) -> None:
        """The session that read is done."""
        self.left = self.left or self.read
        self.read = False

    def stop(self) -> None:
        """The client ended the source where it was: what comes is another one."""
        self.read = self.left = self.lost = False
