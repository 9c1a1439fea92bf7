"""API keys at rest: a TOML file with a table for each key, its SHA-256 and limits of its own. Makes, reads and finds keys.

Knows no request. A key is 256 random bits, so one round of SHA-256 keeps it: a slow hash protects what people can guess.
"""

import hashlib
import hmac
import os
import re
import secrets
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import structlog
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from errors import InvalidValueError, first_fault

log = structlog.get_logger()
PREFIX = "plm-"  # so that people, and scanners for secrets, see what it is
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Key(BaseModel):
    """One table of the file. A limit that is given stands in place of the server's setting.

    `max_sessions = 0` makes a key for `/metrics` and `/v1/models` only.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    max_sessions: int | None = Field(default=None, ge=0)
    max_frames_per_second: float | None = Field(default=None, gt=0)
    max_bytes_per_second: float | None = Field(default=None, gt=0)
    max_source_bytes: int | None = Field(default=None, ge=1)
    max_audio_seconds: float | None = Field(default=None, gt=0)
    idle_seconds: float | None = Field(default=None, gt=0)
    session_seconds: float | None = Field(default=None, gt=0)


_FILE: TypeAdapter[dict[str, Key]] = TypeAdapter(dict[str, Key])


@dataclass(frozen=True)
class Caller:
    """Who asks: the key's name and its table; `expires` (seconds of Unix time) if a browser token of that key came in its place."""

    name: str
    key: Key
    expires: float | None = None


def digest(key: str) -> str:
    """The hex SHA-256 that stands for the key in the file."""
    return hashlib.sha256(key.encode()).hexdigest()


def read_keys(file: Path) -> dict[str, Key]:
    """The tables by name. Raises InvalidValueError, which repeats nothing of the file but names."""
    try:
        return _check(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidValueError(f"expected a file of keys at {file}: {error.strerror}", param="api_keys_file") from None
    except (ValueError, ValidationError) as error:
        raise InvalidValueError(
            f"expected keys as `proactivellm make-key` writes them in {file}; {_why(error)}", param="api_keys_file"
        ) from None


def add_key(file: Path, name: str) -> str:
    """Makes a key, appends its table to the file, and returns the key: it is nowhere else. Raises InvalidValueError."""
    if not NAME.fullmatch(name):
        raise InvalidValueError(f"expected a name of 1 to 64 letters, digits, - and _; got {name[:80]!r}", param="name")
    if file.exists() and name in read_keys(file):
        raise InvalidValueError(f"expected a name that {file} does not hold yet; got {name!r}", param="name")
    key = PREFIX + secrets.token_urlsafe(32)
    try:
        # Its owner's only: who can write this file lets people in.
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w", encoding="utf-8") as out:
            out.write(f'\n[{name}]\nsha256 = "{digest(key)}"\n')
    except OSError as error:
        raise InvalidValueError(f"expected to write to {file}: {error.strerror}", param="file") from None
    return key


class Keys:
    """The keys in force. The file is read again when it changes; one that cannot be read leaves the keys as they were."""

    def __init__(self, file: Path) -> None:
        """Raises InvalidValueError for a file that cannot be read."""
        self._file, self._stamp = file, _stamp(file)
        self._keys: Mapping[str, Key] = read_keys(file)

    def find(self, credential: str) -> Caller | None:
        """The caller whose key it is. Every key is compared, in constant time."""
        self._refresh()
        given, found = digest(credential), None
        for name, key in self._keys.items():
            if hmac.compare_digest(given, key.sha256):
                found = Caller(name, key)
        return found

    def named(self, name: str) -> Key | None:
        """The key of that name, None once it is gone."""
        self._refresh()
        return self._keys.get(name)

    def _refresh(self) -> None:
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read_keys(self._file)
        except InvalidValueError as error:
            log.error("keys.unreadable", error=error.message)
        else:
            log.info("keys.read", keys=len(self._keys))


def _stamp(file: Path) -> tuple[int, ...]:
    try:
        stat = file.stat()
    except OSError:
        return ()
    return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _check(text: str) -> dict[str, Key]:
    keys = _FILE.validate_python(tomllib.loads(text))
    for name in keys:
        if not NAME.fullmatch(name):
            raise ValueError(f"got the name {name[:80]!r}")
    return keys


def _why(error: ValueError) -> str:
    """Without the input: somebody may have written a key where its hash belongs."""
    if isinstance(error, ValidationError):
        return ": ".join(first_fault(error, ""))
    return str(error)
