"""Who may use the server: keys, short-lived browser tokens, and the origins of pages. Knows headers; knows no socket, session or limit.

The policy for every path is docs/security.md's; gate.py enforces it.
"""

import hashlib
import ipaddress
import secrets
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from itsdangerous import BadSignature, URLSafeTimedSerializer
from starlette.datastructures import Headers

from errors import ProactiveError
from server.config import ServerConfig
from server.keys import Caller, Key, Keys

# A browser's websocket cannot set headers: a key or token comes as one more subprotocol. The second name is OpenAI's.
CARRIERS = ("proactivellm.key.", "openai-insecure-api-key.")
TOKEN_PREFIX = "plt-"  # noqa: S105 (no password)


class NotAuthorisedError(ProactiveError):
    """No key or token came, or not one that is in force."""

    code = "not_authorised"


class OriginError(ProactiveError):
    """A browser's page of an origin that is not allowed."""

    code = "origin_not_allowed"


class HostError(ProactiveError):
    """The server was called by a name that is not known to be its own."""

    code = "host_not_allowed"


class ForbiddenError(ProactiveError):
    """A browser token came where a key is needed."""

    code = "forbidden"


class Guard:
    """Tells callers apart. Without a file of keys everybody is the same caller, None."""

    def __init__(self, config: ServerConfig) -> None:
        """Raises InvalidValueError for a file of keys that cannot be read."""
        self._keys = None if config.api_keys_file is None else Keys(config.api_keys_file)
        self._origins, self._token_seconds = frozenset(config.allow_origin), config.token_seconds
        self._hosts = frozenset(config.allowed_hosts) | {"localhost", config.host.lower()}
        # Without a secret of the operator's, tokens hold for this process only.
        secret = secrets.token_hex(32) if config.token_secret is None else config.token_secret.get_secret_value()
        self._tokens = URLSafeTimedSerializer(
            secret, salt="proactivellm token", signer_kwargs={"digest_method": hashlib.sha256, "key_derivation": "hmac"}
        )

    @property
    def has_keys(self) -> bool:
        """True where a caller needs a key."""
        return self._keys is not None

    def caller(self, headers: Headers, subprotocols: Sequence[str] = ()) -> Caller | None:
        """Whose key or token it is. Raises NotAuthorisedError; the message repeats nothing of what came."""
        if self._keys is None:
            return None
        credential = next(_credentials(headers, subprotocols), None)
        if credential is None:
            raise NotAuthorisedError("expected an API key (Authorization: Bearer …, X-API-Key, or a subprotocol), got none")
        found = self._by_token(credential) if credential.startswith(TOKEN_PREFIX) else self._keys.find(credential)
        if found is None:
            raise NotAuthorisedError("expected an API key or a token in force, got another")
        return found

    def issue(self, caller: Caller) -> str:
        """A token that stands for the caller's key for `token_seconds`, and dies with the key."""
        return TOKEN_PREFIX + str(self._tokens.dumps([caller.name, _fingerprint(caller.key)]))

    def _by_token(self, token: str) -> Caller | None:
        assert self._keys is not None
        try:
            (name, fingerprint), issued = self._tokens.loads(
                token.removeprefix(TOKEN_PREFIX), max_age=self._token_seconds, return_timestamp=True
            )
        except BadSignature:  # SignatureExpired is one
            return None
        key = self._keys.named(name)
        if key is None or _fingerprint(key) != fingerprint:
            return None
        return Caller(name, key, expires=issued.timestamp() + self._token_seconds)

    def check_still(self, caller: Caller) -> None:
        """Raises NotAuthorisedError once the caller's key was taken out or replaced, or its token's time is over."""
        assert self._keys is not None
        key = self._keys.named(caller.name)
        if key is None or key.sha256 != caller.key.sha256:
            raise NotAuthorisedError("expected an API key in force, got one that was revoked")
        if caller.expires is not None and time.time() > caller.expires:
            raise NotAuthorisedError("expected a token in force, got one whose time is over: connect again with a new one")

    def check_origin(self, headers: Headers) -> None:
        """Raises OriginError for a browser's page from elsewhere. What sends no Origin is no page, or asks its own server."""
        origin = headers.get("origin")
        if origin is None or "*" in self._origins or origin in self._origins:
            return
        own = _host(origin)
        if own is not None and own[0] == headers.get("host", "") and (self.has_keys or self._is_own(own[1])):
            return
        raise OriginError("expected a page of this server or of an allowed origin (--allow-origin), got one from elsewhere")

    def check_host(self, headers: Headers) -> None:
        """Raises HostError, without keys, for a call by a name that may be anybody's who points it here (DNS rebinding).

        With keys there is no need: a page of such a name has none. A browser always says whom it calls.
        """
        host = headers.get("host", "")
        called = _host(f"http://{host}")
        if self.has_keys or not host or (called is not None and self._is_own(called[1])):
            return
        raise HostError("expected to be called by an address, localhost or an allowed host (--allowed-hosts), got another name")

    def _is_own(self, host: str) -> bool:
        return "*" in self._hosts or host in self._hosts or _is_address(host)


def _credentials(headers: Headers, subprotocols: Sequence[str]) -> Iterator[str]:
    """What came as a key or token, the header first. Another scheme of Authorization may be a proxy's."""
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and rest.strip():
        yield rest.strip()
    if key := headers.get("x-api-key", "").strip():
        yield key
    for offered in subprotocols:
        for carrier in CARRIERS:
            if offered.startswith(carrier):
                yield offered.removeprefix(carrier)


def carries_credential(subprotocols: Sequence[str]) -> bool:
    """True for a client that sent a key the way a browser must."""
    return any(offered.startswith(CARRIERS) for offered in subprotocols)


def _fingerprint(key: Key) -> str:
    """Of the key's hash: a token must not outlive a key that was replaced under its name."""
    return key.sha256[:16]


def _host(origin: str) -> tuple[str, str] | None:
    """`host:port` as the Host header has it, and the host alone."""
    try:
        parts = urlsplit(origin)
        return (parts.netloc, parts.hostname) if parts.scheme in ("http", "https") and parts.hostname else None
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
