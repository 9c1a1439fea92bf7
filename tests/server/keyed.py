"""Keys for a server under test: a file with one, and requests that carry it or not. Knows no test."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from server.keys import add_key
from tests.server.live import Live


def keyed(folder: Path, name: str = "someone", **limits: float) -> tuple[Path, str]:
    """A file of keys, and the key that was added to it, with limits of its own."""
    file = folder / "keys.toml"
    key = add_key(file, name)
    with file.open("a") as out:
        out.writelines(f"{limit} = {value}\n" for limit, value in limits.items())
    return file, key


def ask(live: Live, path: str, *, method: str = "GET", **headers: str) -> tuple[int, Any, dict[str, str]]:
    """Status, JSON (or text) and headers of an HTTP answer. `x_api_key` is the header X-Api-Key."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(f"http://127.0.0.1:{live.port}{path}", method=method, headers=named)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310
            status, body, told = response.status, response.read().decode(), dict(response.headers)
    except urllib.error.HTTPError as error:
        with error:
            status, body, told = error.code, error.read().decode(), dict(error.headers)
    return status, json.loads(body) if told.get("content-type") == "application/json" else body, told
