"""Who is let in: keys, tokens and origins, over real sockets; and what neither an answer nor a log ever says."""

import asyncio
import contextlib
import json
import logging
import ssl
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
import trustme
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from errors import InvalidValueError
from server.auth import Guard, HostError, NotAuthorisedError, OriginError
from server.config import ServerConfig
from server.keys import Caller, add_key
from server.logs import LogFormat, configure_logs
from server.serve import serve
from server.wire import SUBPROTOCOL
from tests.server.keyed import ask, keyed
from tests.server.live import END, SLOTS, START, Live, append, receive, send, until, wait_until
from tests.server.test_bad_input import closed_with

ELSEWHERE = "https://elsewhere.example"


class Locked(Live):
    """A server with one key."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.file, self.key = keyed(folder)
        super().__init__(api_keys_file=self.file, **settings)

    def socket_with(self, *protocols: str, **options: Any) -> connect:
        return connect(self.url, subprotocols=[SUBPROTOCOL, *protocols], compression=None, **options)


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Locked]:
    with Locked(tmp_path_factory.mktemp("keys"), allow_origin=["https://app.example"]) as server:
        wait_until(lambda: server.worker.ready)
        yield server


def guard(file: Path | None, **settings: Any) -> Guard:
    return Guard(ServerConfig(api_keys_file=file, **settings))


async def served(socket: connect) -> str:
    """The text of a session on it; the key was checked before."""
    async with socket as ws:
        assert ws.subprotocol == SUBPROTOCOL
        await send(ws, START, append("dog "), END)
        text: str = (await until(ws, "done"))[-1]["text"]
        return text


# ---- keys


def test_a_key_is_taken_from_a_header_or_a_subprotocol(live: Locked) -> None:
    async def act() -> set[str]:
        return {
            await served(live.socket_with(additional_headers={"Authorization": f"Bearer {live.key}"})),
            await served(live.socket_with(additional_headers={"authorization": f"bearer  {live.key} "})),
            await served(live.socket_with(additional_headers={"X-API-Key": live.key, "Authorization": "Basic cHJveHk6"})),
            await served(live.socket_with(f"proactivellm.key.{live.key}")),
            await served(live.socket_with(f"openai-insecure-api-key.{live.key}", origin="https://app.example")),
        }

    assert len(asyncio.run(act())) == 1


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer plm-no"}, {"Authorization": "Bearer "}, {"X-API-Key": "plt-a.b.c"}])
def test_without_a_key_a_program_gets_401_before_there_is_a_session(
    live: Locked, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR, "uvicorn.error")  # a client's mistake is none of the server's

    async def act() -> None:
        before = live.error_count("not_authorised")
        with pytest.raises(InvalidStatus) as refused:
            async with live.socket_with(additional_headers=headers):
                pytest.fail("it was let in")
        response = refused.value.response
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert b'"code":"not_authorised"' in (response.body or b"")
        assert live.error_count("not_authorised") == before + 1

    asyncio.run(act())
    assert live.engine.free_slots == SLOTS
    wait_until(lambda: not live.server.server_state.tasks)
    assert not caplog.records


@pytest.mark.parametrize("protocols", [["proactivellm.key.plm-no"], ["proactivellm.key.plt-a.b.c"], []])
def test_a_browser_is_told_and_closed_with_4401(live: Locked, protocols: list[str]) -> None:
    async def act() -> None:
        async with live.socket_with(*protocols, origin="https://app.example") as ws:
            assert ws.subprotocol == SUBPROTOCOL
            assert (await closed_with(ws, 4401, error="not_authorised"))["seq"] == 1  # type: ignore[index]

    asyncio.run(act())


@pytest.mark.parametrize(
    ("path", "open_to"),
    [
        ("/healthz", {"nobody", "elsewhere", "token", "key"}),
        ("/readyz", {"nobody", "elsewhere", "token", "key"}),
        ("/", {"nobody", "elsewhere", "token", "key"}),
        ("/web/app.js", {"nobody", "elsewhere", "token", "key"}),
        ("/v1/models", {"token", "key"}),
        ("/metrics", {"key"}),
        ("/v1/tokens", {"key"}),
        ("/anything/else", {"token", "key"}),  # and is not found then
    ],
)
def test_the_policy_for_every_path(live: Locked, path: str, open_to: set[str]) -> None:
    method = "POST" if path == "/v1/tokens" else "GET"
    token = ask(live, "/v1/tokens", method="POST", x_api_key=live.key)[1]["token"]
    who = {
        "nobody": {},
        "wrong": {"x_api_key": "plm-no"},
        "elsewhere": {"origin": ELSEWHERE, "x_api_key": live.key},
        "token": {"authorization": f"Bearer {token}"},
        "key": {"authorization": f"Bearer {live.key}"},
    }
    refused = {"nobody": 401, "wrong": 401, "elsewhere": 403, "token": 403}
    for name, headers in who.items():
        status = ask(live, path, method=method, **headers)[0]
        if name in open_to or (name == "wrong" and "nobody" in open_to):
            assert status == (404 if path == "/anything/else" else 200), name
        else:
            assert status == refused[name], name


def test_without_keys_everything_is_open_and_there_are_no_tokens(tmp_path: Path) -> None:
    with Live() as live:
        wait_until(lambda: live.worker.ready)
        assert asyncio.run(served(live.connect()))
        assert asyncio.run(served(live.connect(additional_headers={"Authorization": "Bearer whatever"})))
        assert [ask(live, path)[0] for path in ("/metrics", "/v1/models")] == [200, 200]
        assert ask(live, "/v1/tokens", method="POST")[0] == 404


@given(st.text(st.characters(max_codepoint=255)), st.text(st.characters(max_codepoint=255)), st.lists(st.text()))
def test_whatever_comes_is_no_key(authorization: str, key: str, protocols: list[str]) -> None:
    headers = Headers({"Authorization": authorization, "X-API-Key": key})
    for offered in (protocols, [f"proactivellm.key.{each}" for each in protocols], [f"proactivellm.key.plt-{each}" for each in protocols]):
        with pytest.raises(NotAuthorisedError):
            NOBODYS.caller(headers, offered)


@pytest.fixture(scope="module", autouse=True)
def _nobodys(tmp_path_factory: pytest.TempPathFactory) -> None:
    global NOBODYS  # noqa: PLW0603 (hypothesis takes no fixture that is made once an example)
    NOBODYS = guard(keyed(tmp_path_factory.mktemp("nobody"))[0])


NOBODYS: Guard


def test_a_connection_whose_key_was_revoked_starts_no_further_session(tmp_path: Path) -> None:
    async def act(live: Locked) -> None:
        async with live.socket_with(f"proactivellm.key.{live.key}") as ws:
            await send(ws, START, append("dog "))
            await until(ws, "read", "write")
            live.file.write_text("")
            await send(ws, END)
            await until(ws, "done")  # what runs goes on
            await send(ws, START)
            await closed_with(ws, 4401, error="not_authorised")

    with Locked(tmp_path) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


# ---- tokens


def test_a_token_opens_a_stream_for_minutes(live: Locked, monkeypatch: pytest.MonkeyPatch) -> None:
    status, told, headers = ask(live, "/v1/tokens", method="POST", x_api_key=live.key)
    assert (status, told["expires_in"], headers["cache-control"]) == (200, 300, "no-store")
    token = told["token"]
    assert live.key not in token
    assert asyncio.run(served(live.socket_with(f"proactivellm.key.{token}", origin="https://app.example")))
    assert ask(live, "/v1/models", authorization=f"Bearer {token}x")[0] == 401
    now = time.time()
    monkeypatch.setattr("itsdangerous.timed.time.time", lambda: now + 302)
    assert ask(live, "/v1/models", authorization=f"Bearer {token}")[0] == 401


def test_a_token_whose_time_is_over_starts_no_further_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def act(live: Locked, token: str) -> None:
        async with live.socket_with(f"proactivellm.key.{token}") as ws:
            await send(ws, START, append("dog "))
            await until(ws, "read", "write")
            now = time.time()
            monkeypatch.setattr("server.auth.time.time", lambda: now + 302)
            await send(ws, END)
            await until(ws, "done")  # what runs goes on
            await send(ws, START)
            await closed_with(ws, 4401, error="not_authorised")

    with Locked(tmp_path) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live, ask(live, "/v1/tokens", method="POST", x_api_key=live.key)[1]["token"]))


def test_a_token_dies_with_its_key_and_with_the_secret(tmp_path: Path) -> None:
    file, key = keyed(tmp_path)
    secret = "s" * 32
    ours, replica, other = guard(file, token_secret=secret), guard(file, token_secret=secret), guard(file)
    caller = ours.caller(Headers({"X-API-Key": key}))
    assert caller is not None
    headers = Headers({"X-API-Key": ours.issue(caller)})
    for one in (ours, replica):
        found = one.caller(headers)
        assert found is not None
        assert found.expires is not None
        assert (replace(found, expires=None), abs(found.expires - time.time() - 300) < 30) == (caller, True)
    with pytest.raises(NotAuthorisedError):
        other.caller(headers)
    forged = Headers({"X-API-Key": other.issue(Caller(caller.name, caller.key))})
    with pytest.raises(NotAuthorisedError):
        ours.caller(forged)
    file.unlink()
    add_key(file, "someone")  # another key of the same name
    with pytest.raises(NotAuthorisedError):
        ours.caller(headers)


# ---- pages


@pytest.mark.parametrize(
    ("origin", "host", "keys", "listed", "lets"),
    [
        (None, "evil.example", False, [], True),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", False, [], True),
        ("http://[::1]:8000", "[::1]:8000", False, [], True),
        ("http://localhost:8000", "localhost:8000", False, [], True),
        ("http://localhost:3000", "localhost:8000", False, [], False),
        ("http://rebound.example", "rebound.example", False, [], False),
        ("https://own.example", "own.example", True, [], True),
        ("https://elsewhere.example", "own.example", True, [], False),
        ("https://app.example", "own.example", False, ["https://app.example"], True),
        ("https://app.example.evil", "own.example", True, ["https://app.example"], False),
        ("http://app.example", "own.example", True, ["https://app.example"], False),
        ("null", "own.example", True, [], False),
        ("", "", True, [], False),
        ("http://[", "[", True, [], False),
        ("file://own.example", "own.example", True, [], False),
        ("https://any.example", "own.example", True, ["*"], True),
    ],
)
def test_origins(tmp_path: Path, origin: str | None, host: str, keys: bool, listed: list[str], lets: bool) -> None:
    checks = guard(keyed(tmp_path)[0] if keys else None, allow_origin=listed)
    headers = Headers({"host": host} if origin is None else {"host": host, "origin": origin})
    if lets:
        checks.check_origin(headers)
    else:
        with pytest.raises(OriginError):
            checks.check_origin(headers)


@pytest.mark.parametrize(
    ("host", "settings", "lets"),
    [
        ("127.0.0.1:8000", {}, True),
        ("[::1]", {}, True),
        ("192.0.2.7:1", {}, True),
        ("localhost", {}, True),
        ("LOCALHOST:1", {}, True),
        ("", {}, True),  # no browser's
        ("rebound.example", {}, False),
        ("rebound.example:8000", {}, False),
        ("127.0.0.1.rebound.example", {}, False),
        ("localhost@rebound.example", {}, False),
        ("[", {}, False),
        ("own.example:8000", {"allowed_hosts": ["other.example", "Own.example"]}, True),
        ("rebound.example", {"allowed_hosts": ["own.example"]}, False),
        ("own.example", {"host": "own.example"}, True),
        ("any.example", {"allowed_hosts": ["*"]}, True),
    ],
)
def test_hosts(tmp_path: Path, host: str, settings: dict[str, Any], lets: bool) -> None:
    headers = Headers({"host": host})
    guard(keyed(tmp_path)[0], **settings).check_host(headers)  # who has no key gets nothing
    if lets:
        guard(None, **settings).check_host(headers)
        guard(None, **settings).check_origin(Headers({"host": host, "origin": f"http://{host}"} if host else {}))
    else:
        with pytest.raises(HostError):
            guard(None, **settings).check_host(headers)


def test_a_name_that_was_pointed_here_gets_nothing_without_keys() -> None:
    async def act(live: Live) -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(live.url.replace("127.0.0.1", "rebound.example"), host="127.0.0.1", port=live.port):
                pytest.fail("it was let in")
        assert refused.value.response.status_code == 403

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        for path in ("/v1/models", "/metrics", "/anything"):
            status, told, _ = ask(live, path, host="rebound.example:8000")
            assert (status, told["code"]) == (403, "host_not_allowed")
        assert ask(live, "/healthz", host="rebound.example:8000")[0] == 200
        asyncio.run(act(live))


def test_a_page_from_elsewhere_is_told_although_it_has_the_key(live: Locked) -> None:
    async def act() -> None:
        async with live.socket_with(f"proactivellm.key.{live.key}", origin=ELSEWHERE) as ws:
            await closed_with(ws, 4401, error="origin_not_allowed")
        async with live.socket_with(f"proactivellm.key.{live.key}", origin=f"http://127.0.0.1:{live.port}") as ws:
            await send(ws, START)
            assert (await receive(ws))["type"] == "session.started"

    asyncio.run(act())


def test_an_allowed_page_may_ask_over_http_too(live: Locked) -> None:
    asks = {"origin": "https://app.example", "access_control_request_method": "GET", "access_control_request_headers": "authorization"}
    status, _, headers = ask(live, "/v1/models", method="OPTIONS", **asks)
    assert (status, headers["access-control-allow-origin"]) == (200, "https://app.example")
    assert ask(live, "/v1/models", method="OPTIONS", **{**asks, "origin": ELSEWHERE})[0] == 400


# ---- what is never said


@contextlib.contextmanager
def logging_for_real(form: LogFormat = "json") -> Iterator[None]:
    """As much as an operator can ask for, on standard error; pytest's own handlers come back."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    configure_logs("debug", form)
    try:
        yield
    finally:
        root.handlers[:] = before
        root.setLevel(level)
        logging.captureWarnings(False)


@pytest.mark.parametrize("shows", [False, True], ids=["as it is", "--log-content"])
def test_logs_hold_no_key_no_token_and_no_content_unless_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str], shows: bool) -> None:
    async def act(live: Locked, token: str) -> str:
        for credential in (live.key, token):
            async with live.socket_with(f"proactivellm.key.{credential}") as ws:
                await send(ws, START, append("dog "), append("Murmel "), END)
                text: str = (await until(ws, "done"))[-1]["text"]
                await ws.send('{"type": "source.append", "text": 5, "Murmel": 1}')
                await closed_with(ws, 4400, error="bad_message")
        for wrong in (live.key[:-1], token[:-1]):
            async with live.socket_with(f"proactivellm.key.{wrong}") as ws:
                await closed_with(ws, 4401, error="not_authorised")
        return text

    with logging_for_real(), Locked(tmp_path, log_content=shows) as live:
        wait_until(lambda: live.worker.ready)
        token = ask(live, "/v1/tokens", method="POST", x_api_key=live.key)[1]["token"]
        text = asyncio.run(act(live, token))
    said = capsys.readouterr().err
    assert '"event": "session.done"' in said
    assert '"key": "someone"' in said
    assert '"event": "gate.refused"' in said
    assert not any(secret[:-1] in said for secret in (live.key, token))
    assert ("Murmel" in said, json.dumps(text, ensure_ascii=False) in said) == (shows, shows)


@pytest.mark.parametrize("form", ["json", "text"])
def test_an_exception_in_the_log_shows_no_variables(capsys: pytest.CaptureFixture[str], form: LogFormat) -> None:
    def fails(text: str) -> None:
        raise RuntimeError(f"broken after {len(text)}")

    with logging_for_real(form):
        try:
            fails("Mur" + "mel")
        except RuntimeError:
            structlog.get_logger().error("worker.failed", exc_info=True)
            logging.getLogger("uvicorn.error").exception("failed")
    said = capsys.readouterr().err
    assert said.count("broken after 6") == 2
    assert "Murmel" not in said


def test_a_secret_is_not_shown_with_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROACTIVELLM_TOKEN_SECRET", "verysecret" * 4)
    config = ServerConfig()
    assert config.token_secret is not None
    assert "verysecret" not in repr(config) + str(config.model_dump())


# ---- the process


def test_with_keys_an_address_beyond_loopback_is_bound(tmp_path: Path) -> None:
    file, _ = keyed(tmp_path)
    with pytest.raises(InvalidValueError, match="expected device"):  # which is what is looked at next
        serve(ServerConfig(host="0.0.0.0", api_keys_file=file, device="gpu"))  # noqa: S104


def test_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    key, chain = tmp_path / "key.pem", tmp_path / "cert.pem"
    certificate.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with Locked(tmp_path, ssl_keyfile=key, ssl_certfile=chain) as live:
        wait_until(lambda: live.worker.ready)
        secure = connect(live.url.replace("ws:", "wss:"), ssl=trusting, subprotocols=[SUBPROTOCOL, f"proactivellm.key.{live.key}"])
        assert asyncio.run(served(secure))


def test_a_certificate_that_is_none_is_told(tmp_path: Path) -> None:
    for name in ("key.pem", "cert.pem"):
        (tmp_path / name).write_text("nothing")
    with pytest.raises(InvalidValueError, match="expected a certificate and its key in PEM"):
        serve(ServerConfig(port=0, ssl_keyfile=tmp_path / "key.pem", ssl_certfile=tmp_path / "cert.pem"))
