"""Sound files from their first sample to their last: what soundfile must be told for that. Knows no format and no model; no torch."""

from collections.abc import Iterator
from typing import Any

UNKNOWN = 1 << 62  # samples, and more: libsndfile's for a FLAC whose encoder wrote into a pipe


def forwards(sound: Any) -> Any:
    """An open soundfile.SoundFile, to be read to its end: where it can, the library seeks behind every block, and fails at the end of one
    of unknown length."""
    sound.seekable = lambda: False
    return sound


def blocks(sound: Any, size: int, dtype: str) -> Iterator[Any]:
    """[n, channels] of `forwards`, n = `size` but at the end. Raises what soundfile raises for one that breaks off."""
    while len(block := sound.read(size, dtype=dtype, always_2d=True)):
        yield block
