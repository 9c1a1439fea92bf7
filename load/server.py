"""What the server under load says of itself: slots in all and in use, and its memory, from `/metrics`. Knows HTTP; knows no session."""

import asyncio
import urllib.error
import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from proactivellm_client import ProtocolError
from proactivellm_client.opening import key_header
from prometheus_client.parser import text_string_to_metric_families

from errors import ProactiveError

TIMEOUT = 10.0


@dataclass(frozen=True)
class State:
    """`memory` is the resident memory of the process, in bytes; None on systems that do not tell."""

    slots: int
    in_use: int
    memory: int | None


class LoadError(ProactiveError):
    """The server cannot be asked."""

    code = "load"


async def state(url: str, api_key: str | None = None) -> State:
    """Now. Raises LoadError where nobody answers, or not with metrics of this server."""
    return await asyncio.to_thread(_state, url, api_key)


async def wait_until_free(url: str, api_key: str | None = None, seconds: float = 30.0) -> State:
    """The state once no slot is in use, or after `seconds`."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while (now := await state(url, api_key)).in_use and loop.time() < deadline:
        await asyncio.sleep(0.2)
    return now


def _state(url: str, api_key: str | None) -> State:
    parts = urlsplit(url)
    scheme = {"ws": "http", "wss": "https"}.get(parts.scheme, parts.scheme)
    try:
        headers = key_header(api_key)
    except ProtocolError as error:
        raise LoadError(str(error)) from None
    request = urllib.request.Request(f"{scheme}://{parts.netloc}/metrics", headers=headers)  # noqa: S310 (the server that was asked for)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 (likewise)
            samples = [sample for family in text_string_to_metric_families(response.read().decode()) for sample in family.samples]
    except (OSError, ValueError) as error:
        raise LoadError(f"expected the metrics of a ProactiveLLM server at {url}/metrics: {error}") from None
    total = {
        name: int(sum(sample.value for sample in samples if sample.name == name))
        for name in ("proactivellm_slots", "proactivellm_sessions", "process_resident_memory_bytes")
    }
    if not total["proactivellm_slots"]:
        raise LoadError(f"expected a server that has loaded its models at {url}, got one without slots")
    return State(total["proactivellm_slots"], total["proactivellm_sessions"], total["process_resident_memory_bytes"] or None)
