"""How much a caller and the server as a whole may use: sessions, frames and bytes a second, source, idleness, length of a session.

Knows amounts and the names of keys; knows no socket. One `Quota` a connection, made by gate.py, asked by duplex.py and the protocols.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from errors import LimitError
from server.config import ServerConfig
from server.keys import Caller
from server.metrics import Metrics

Of = Literal["key", "server"]
N = TypeVar("N", int, float)


class Rate:
    """So much a second on average, and `burst` seconds' worth at once. Knows no clock: the time comes with the amount.

    In any T seconds it lets at most per_second * (T + burst) through, and one amount more: a frame larger than a burst passes in the end.
    """

    def __init__(self, per_second: float, burst: float) -> None:
        self.per_second, self._burst = per_second, burst
        self._paid = -math.inf  # when all that was taken will have been earned

    def take(self, amount: float, now: float) -> float:
        """Takes the amount and returns 0.0; or takes nothing, and returns the seconds to wait."""
        wait = self._paid - now - self._burst
        if wait > 0:
            return wait
        self._paid = max(self._paid, now) + amount / self.per_second
        return 0.0


class Pool:
    """What the connections of one key, or all of the server, share."""

    def __init__(self, burst: float) -> None:
        self.sessions = 0
        self.max_sessions: int | None = None
        self.rates: dict[str, Rate] = {}
        self._burst = burst

    def allow(self, sessions: int | None, frames: float | None, bytes_: float | None) -> "Pool":
        """Sets the limits, at first or anew: what is in use, or was taken, stays counted."""
        self.max_sessions = sessions
        for name, each in (("frames", frames), ("bytes", bytes_)):
            if each is None:
                self.rates.pop(name, None)
            else:
                self.rates.setdefault(name, Rate(each, self._burst)).per_second = each
        return self


@dataclass(frozen=True)
class Terms:
    """What holds for each session. `own`: those that the key has for itself."""

    max_source_bytes: int
    max_audio_seconds: float
    idle_seconds: float
    session_seconds: float
    own: frozenset[str]


class Limits:
    """The server's pool and one for each key that came; hands out quotas."""

    def __init__(self, config: ServerConfig, metrics: Metrics) -> None:
        self._config, self._metrics = config, metrics
        self._server = Pool(config.burst_seconds).allow(config.max_sessions, config.max_frames_per_second, config.max_bytes_per_second)
        self._pools: dict[str, Pool] = {}  # by the key's name: its sessions count on when its table changes

    @property
    def sessions(self) -> int:
        """Of all connections, those that broke and may be resumed among them."""
        return self._server.sessions

    def quota(self, caller: Caller | None, check: Callable[[], None] = lambda: None) -> "Quota":
        """For a new connection. Those of a key share its pool; without keys there is the server's. `check` raises for a revoked key."""
        return Quota(caller, self._terms(caller), {**self._pool(caller), "server": self._server}, self._metrics, check)

    def _pool(self, caller: Caller | None) -> dict[Of, Pool]:
        if caller is None:
            return {}
        config, key = self._config, caller.key
        pool = self._pools.setdefault(caller.name, Pool(config.burst_seconds)).allow(
            _either(key.max_sessions, config.key_max_sessions),
            _either(key.max_frames_per_second, config.key_max_frames_per_second),
            _either(key.max_bytes_per_second, config.key_max_bytes_per_second),
        )
        return {"key": pool}

    def _terms(self, caller: Caller | None) -> Terms:
        names = ("max_source_bytes", "max_audio_seconds", "idle_seconds", "session_seconds")
        own = {} if caller is None else {name: value for name in names if (value := getattr(caller.key, name)) is not None}
        return Terms(**{name: own.get(name, getattr(self._config, name)) for name in names}, own=frozenset(own))


class Quota:
    """One connection's share. `key`: the name of its key. Every limit that is met is a LimitError, and counted."""

    def __init__(self, caller: Caller | None, terms: Terms, pools: dict[Of, Pool], metrics: Metrics, check: Callable[[], None]) -> None:
        self.key = None if caller is None else caller.name
        self.idle_seconds = terms.idle_seconds
        self._terms, self._pools, self._metrics, self._check = terms, pools, metrics, check
        self._in_session = False
        self._source, self._heard = 0, 0.0  # bytes and seconds of this session's
        self._expiry: asyncio.TimerHandle | None = None

    def frame(self, size: int) -> None:
        """A frame of so many bytes came. Raises LimitError."""
        now = asyncio.get_running_loop().time()
        for of, pool in self._pools.items():
            for name, amount in (("frames", 1), ("bytes", size)):
                if name in pool.rates and (wait := pool.rates[name].take(amount, now)):
                    raise self._over(name, of, "too_fast", f"expected fewer {name} a second, of the {of} together", retry_after=wait)

    def check_session(self) -> None:
        """Raises LimitError where no session may begin now, or what `check` raises."""
        self._check()
        for of, pool in self._pools.items():
            if pool.max_sessions is not None and pool.sessions >= pool.max_sessions:
                code = "no_capacity" if of == "server" else "too_many_sessions"
                raise self._over(
                    "sessions", of, code, f"expected at most {pool.max_sessions} sessions of the {of} at a time", retry_after=1.0
                )

    def begin_session(self, expire: Callable[[LimitError], None]) -> None:
        """A session is asked for; `expire` is called if it runs for too long. Raises what `check_session` raises."""
        self.check_session()
        for pool in self._pools.values():
            pool.sessions += 1
        self._in_session, self._source, self._heard = True, 0, 0.0
        self._expiry = asyncio.get_running_loop().call_later(self._terms.session_seconds, lambda: expire(self._expired()))

    def source(self, size: int) -> None:
        """So many bytes more of this session's source. Raises LimitError."""
        self._source += size
        if self._source > (limit := self._terms.max_source_bytes):
            raise self._over(
                "source", self._of("max_source_bytes"), "source_too_long", f"expected at most {limit} bytes of source, got more"
            )

    @property
    def max_audio_seconds(self) -> float:
        """Of one session."""
        return self._terms.max_audio_seconds

    def audio(self, seconds: float) -> None:
        """So much more audio of this session's. Raises LimitError."""
        self._heard += seconds
        if self._heard > (limit := self._terms.max_audio_seconds):
            raise self._over("audio", self._of("max_audio_seconds"), "source_too_long", f"expected at most {limit:g} s of audio, got more")

    def end_session(self) -> None:
        """The session is over, however it ended; no harm where there was none."""
        if not self._in_session:
            return
        self._in_session = False
        for pool in self._pools.values():
            pool.sessions -= 1
        if self._expiry is not None:
            self._expiry.cancel()

    def idle(self) -> LimitError:
        """What a client is told that sent nothing for `idle_seconds`."""
        return self._over("idle", self._of("idle_seconds"), "idle", f"expected a message within {self.idle_seconds:g} s, got none")

    def _expired(self) -> LimitError:
        limit = self._terms.session_seconds
        message = f"expected a session of at most {limit:g} s, got a longer one"
        return self._over("session_seconds", self._of("session_seconds"), "session_too_long", message)

    def _of(self, term: str) -> Of:
        return "key" if term in self._terms.own else "server"

    def _over(self, limit: str, of: Of, code: str, message: str, retry_after: float | None = None) -> LimitError:
        self._metrics.limits.labels(limit, of).inc()
        return LimitError(code, message, retry_after=retry_after)


def _either(own: N | None, servers: N | None) -> N | None:
    return servers if own is None else own
