"""How a connection is opened and how it ended: options of the socket, the API key, refused handshakes, closes. Knows no socket."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus

from proactivellm_client.errors import ClosedError, ConnectError, NotAuthorisedError, ProtocolError

API_KEY = "PROACTIVELLM_API_KEY"
# A client that sends for minutes before it reads must still answer keepalive pings, which wait behind unread frames; the limits of a
# session bound what can pile up. `done` brings the whole text, of a day in an endless stream. What is sent faster than the server hears
# fills the buffers between, with some 200 s of sound at most, and a ping waits behind it: 20 s, as websockets has it, lost the session.
# 120 s are enough where sound is heard at 1.7 times the speed at which it was said.
_OPTIONS: Mapping[str, Any] = {"compression": None, "max_queue": 2**20, "max_size": 2**24, "ping_timeout": 120.0}


def socket_options(options: Mapping[str, Any], api_key: str | None) -> dict[str, Any]:
    """Options of the socket, with the key's header. Raises what `key_header` raises."""
    merged, key = {**_OPTIONS, **options}, key_header(api_key)
    if key:
        merged["additional_headers"] = Headers(options.get("additional_headers") or {}, **key)
    return merged


def key_header(api_key: str | None) -> dict[str, str]:
    """The header of a request that carries the key, if there is one. None takes the key from $PROACTIVELLM_API_KEY, "" sends none.

    Raises ProtocolError for what is no key; it is not repeated.
    """
    key = (os.environ.get(API_KEY, "") if api_key is None else api_key).strip()
    if not key:
        return {}
    if not re.fullmatch(r"[!-~]+", key):
        raise ProtocolError("expected an API key of visible ASCII characters, got another text")
    return {"Authorization": f"Bearer {key}"}


def connect_error(url: str, error: Exception) -> ConnectError:
    """Why there is no connection, in the server's words where it has some."""
    if not isinstance(error, InvalidStatus):
        return ConnectError(f"expected a ProactiveLLM server at {url}: {error}")
    status = error.response.status_code
    try:
        said = str(json.loads(error.response.body or b"")["message"])
    except (ValueError, KeyError, TypeError):
        said = str(error)
    kind = NotAuthorisedError if status in (401, 403) else ConnectError
    return kind(f"expected the server at {url} to take the connection, it answered {status}: {said}")


def closed_error(closed: ConnectionClosed) -> ClosedError:
    """How a connection ended."""
    if closed.rcvd is not None:
        return ClosedError(closed.rcvd.code, closed.rcvd.reason)
    return ClosedError(1006, closed.sent.reason if closed.sent is not None else "")  # 1006: the server said no goodbye
