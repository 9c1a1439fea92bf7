"""Sound files for `POST /v1/transcribe`: WAV, FLAC and Ogg, opened by soundfile and read in blocks. Knows no session and no HTTP."""

import io
import threading
from typing import IO, Any

from backbones.audio_forwards import UNKNOWN, forwards
from backbones.audio_pcm import MAX_CHANNELS, MAX_RATE, MIN_RATE, AudioFormat
from errors import InvalidValueError, LimitError

# Only these reach soundfile, whatever else it could read: what strangers send should meet as little code as possible.
MAGIC = {b"RIFF": "WAV", b"fLaC": "FLAC", b"OggS": "Ogg"}
WRITTEN_TO_A_PIPE = 0x7FFF0000  # bytes, and more: the size in a WAV's header whose encoder did


class SoundFile:
    """An open file. `form`: its samples as `read` gives them; `seconds`: its length, by its header, or None where that does not say.

    Raises InvalidValueError for what is no such file, LimitError for one longer than `max_seconds`, by its header.
    """

    def __init__(self, file: IO[bytes], max_seconds: float) -> None:
        import soundfile  # type: ignore[import-untyped]  # noqa: PLC0415 (of the extra `audio`, which a server of text does without)

        self._errors = (soundfile.SoundFileError, RuntimeError, ValueError, OSError)
        file.seek(0)
        magic = file.read(4)
        file.seek(0)
        if magic not in MAGIC:
            raise _broken("another file" if magic else "an empty one")
        if magic == b"RIFF" and _breaks_off(file):  # libsndfile would read what is there, and call it whole
            raise _broken("one that breaks off")
        try:
            self._sound = forwards(soundfile.SoundFile(file))
        except self._errors:
            raise _broken(f"a broken {MAGIC[magic]} file") from None
        self._left = self._sound.frames  # UNKNOWN and more, whatever was read: the end is where no more comes
        self._lock = threading.Lock()  # a thread may still read when the client has left
        try:
            self.form, self.seconds = _measured(self._sound, max_seconds)
        except BaseException:
            self.close()
            raise

    def read(self, seconds: float) -> bytes:
        """The next samples, float32; empty at the end. Raises InvalidValueError for a file that ends before its header says."""
        wanted = min(self._left, int(seconds * self.form.rate))
        if wanted == 0:
            return b""
        try:
            with self._lock:
                block = self._sound.read(wanted, dtype="float32", always_2d=True)
        except self._errors:
            block = None
        if block is None or (len(block) < wanted and self._left < UNKNOWN):
            raise _broken("one that breaks off or is damaged")
        self._left -= wanted
        data: bytes = block.tobytes()
        return data

    def close(self) -> None:
        """Idempotent; the file below stays open."""
        with self._lock:
            self._sound.close()


def _breaks_off(file: IO[bytes]) -> bool:
    """True for a WAV with less behind its header than that says. The file is at its start, before and after."""
    there = file.seek(0, io.SEEK_END) - 8
    file.seek(4)
    size = int.from_bytes(file.read(4), "little")
    file.seek(0)
    # Some count the header's 8 bytes too, and some leave out the filler behind an odd number of samples.
    return max(there + 9, 0) < size < WRITTEN_TO_A_PIPE


def _measured(sound: Any, max_seconds: float) -> tuple[AudioFormat, float | None]:
    rate, channels, frames = sound.samplerate, sound.channels, sound.frames
    if not (MIN_RATE <= rate <= MAX_RATE and 1 <= channels <= MAX_CHANNELS and frames > 0):
        expected = f"{MIN_RATE} to {MAX_RATE} Hz, 1 to {MAX_CHANNELS} channels and some samples"
        raise InvalidValueError(f"expected a file of {expected}; got {rate} Hz, {channels} channels, {frames} samples", param="file")
    form = AudioFormat("float32", rate, channels)
    if frames >= UNKNOWN:
        return form, None
    if frames / rate > max_seconds:
        raise LimitError("source_too_long", f"expected at most {max_seconds:g} s of audio, got a file of {frames / rate:.0f} s")
    return form, frames / rate


def _broken(got: str) -> InvalidValueError:
    return InvalidValueError(f"expected a WAV, FLAC or Ogg file, got {got}", param="file")
