"""How a connection is opened: the socket's options, the API key, and what a refused handshake says. For both clients. Knows no socket."""

import json
import os
import re
from collections.abc import Mapping
from typing import Any

from websockets.datastructures import Headers
from websockets.exceptions import InvalidStatus

from proactivellm_client.errors import ConnectError, NotAuthorisedError, ProtocolError

API_KEY = "PROACTIVELLM_API_KEY"
# A client that sends for minutes before it reads must still answer keepalive pings, which wait behind unread frames; the limits of a
# session bound what can pile up. `done` brings the whole text, of a day in an endless stream.
_OPTIONS: Mapping[str, Any] = {"compression": None, "max_queue": 2**20, "max_size": 2**24}


def socket_options(options: Mapping[str, Any], api_key: str | None) -> dict[str, Any]:
    """Options of the socket, with the key's header. None takes the key from $PROACTIVELLM_API_KEY, "" sends none.

    Raises ProtocolError for what is no key; it is not repeated.
    """
    key = (os.environ.get(API_KEY, "") if api_key is None else api_key).strip()
    merged = {**_OPTIONS, **options}
    if not key:
        return merged
    if not re.fullmatch(r"[!-~]+", key):
        raise ProtocolError("expected an API key of visible ASCII characters, got another text")
    headers = Headers(options.get("additional_headers") or {})
    headers["Authorization"] = f"Bearer {key}"
    return {**merged, "additional_headers": headers}


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
