"""How a connection is opened: which key goes along, and what a refusal is called."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http import HTTPStatus

import proactivellm_client.sync
import pytest
from proactivellm_client import ConnectError, NotAuthorisedError, ProtocolError, connect
from proactivellm_client.opening import API_KEY, socket_options
from websockets.http11 import Request, Response
from websockets.sync.server import ServerConnection, serve

TOLD = json.dumps({"code": "not_authorised", "message": "expected an API key, got none", "param": None})


@pytest.fixture
def seen() -> list[str | None]:
    return []


@pytest.fixture
def url(seen: list[str | None]) -> Iterator[str]:
    """A server that takes one key and refuses all others; `seen` are the headers that came."""

    def process(connection: ServerConnection, request: Request) -> Response | None:
        seen.append(request.headers.get("Authorization"))
        if seen[-1] == "Bearer plm-right":
            return None
        if seen[-1] == "Bearer plm-full":
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "no JSON")
        return connection.respond(HTTPStatus.UNAUTHORIZED, TOLD)

    with serve(lambda ws: ws.close(), "127.0.0.1", 0, subprotocols=["proactivellm.v1"], process_request=process) as server:  # type: ignore[list-item]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join(10)


def open_both(url: str, **options: str) -> None:
    async def act() -> None:
        async with connect(url, **options):  # type: ignore[arg-type]
            pass

    asyncio.run(act())
    with proactivellm_client.sync.connect(url, **options):  # type: ignore[arg-type]
        pass


def test_a_key_goes_along_as_an_argument_or_from_the_environment(url: str, seen: list[str | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(API_KEY, raising=False)
    open_both(url, api_key="plm-right")
    monkeypatch.setenv(API_KEY, " plm-right\n")
    open_both(url)
    assert seen == ["Bearer plm-right"] * 4


def test_a_server_that_wants_a_key_is_told_from_one_that_is_not_there(
    url: str, seen: list[str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(API_KEY, "plm-wrong")
    for key in ({}, {"api_key": ""}, {"api_key": "plm-other"}):
        with pytest.raises(NotAuthorisedError, match=r"answered 401: expected an API key, got none"):
            open_both(url, **key)
    assert seen == ["Bearer plm-wrong", None, "Bearer plm-other"]
    with pytest.raises(ConnectError, match="answered 503") as refused:
        open_both(url, api_key="plm-full")
    assert type(refused.value) is ConnectError


def test_a_key_joins_headers_that_are_there_and_does_not_change_them() -> None:
    headers = {"X-Trace": "1"}
    made = socket_options({"additional_headers": headers, "compression": "deflate"}, "plm-right")
    assert sorted(made["additional_headers"].raw_items()) == [("Authorization", "Bearer plm-right"), ("X-Trace", "1")]
    assert (made["compression"], headers) == ("deflate", {"X-Trace": "1"})
    assert "additional_headers" not in socket_options({}, "")


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "schlüssel"])
def test_what_is_no_key_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ProtocolError, match="expected an API key") as refused:
        connect("ws://127.0.0.1:1", api_key=key)
    assert key not in str(refused.value)
