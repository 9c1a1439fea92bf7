"""Every limit, of a key and of the server, over a real socket: its code, its close code, its metric, and what is free again afterwards."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from server.keys import add_key
from server.limits import Rate
from server.wire import SUBPROTOCOL
from tests.server.keyed import ask, keyed
from tests.server.live import END, SLOTS, START, Event, Live, append, receive, send, session, until, wait_until
from tests.server.test_bad_input import closed_with

PING = {"type": "ping", "id": 1}


class Keyed(Live):
    """A server with one key, and sockets that carry it; `own` are the key's own limits."""

    def __init__(self, folder: Path, own: dict[str, float] | None = None, **settings: Any) -> None:
        file, self.key = keyed(folder, **(own or {}))
        super().__init__(api_keys_file=file, **settings)

    def connect(self, **options: Any) -> connect:
        return super().connect(additional_headers={"X-API-Key": self.key}, **options)


# ---- rates


@given(
    st.floats(0.5, 100),
    st.floats(0, 5),
    st.lists(st.tuples(st.floats(0, 2), st.integers(1, 20)), min_size=1, max_size=60),
    st.integers(0, 59),
)
def test_no_stretch_of_time_lets_more_through_than_its_rate_and_a_burst(
    per_second: float, burst: float, steps: list[tuple[float, int]], start: int
) -> None:
    rate, now, taken = Rate(per_second, burst), 0.0, []
    for pause, amount in steps:
        now += pause
        if rate.take(amount, now) == 0.0:
            taken.append((now, amount))
    stretch = taken[start:]
    if stretch:
        seconds = stretch[-1][0] - stretch[0][0]
        assert sum(amount for _, amount in stretch[:-1]) <= per_second * (seconds + burst) + 1e-6


@given(st.floats(0.5, 100), st.floats(0, 5), st.integers(1, 1000))
def test_who_waits_as_long_as_told_gets_through(per_second: float, burst: float, amount: int) -> None:
    rate = Rate(per_second, burst)
    assert rate.take(amount, 0.0) == 0.0  # however much: a frame larger than a burst is not refused for ever
    while not (wait := rate.take(1, 0.0)):
        pass
    assert rate.take(1, wait + 1e-6) == 0.0


# ---- what closes a connection


async def sends_pings(ws: ClientConnection) -> None:
    await send(ws, *[PING] * 40)


async def sends_much(ws: ClientConnection) -> None:
    await send(ws, *[append("x" * 500)] * 10)


async def sends_source(ws: ClientConnection) -> None:
    await send(ws, append("dog " * 10), append("äöü" * 20))


async def says_nothing(_: ClientConnection) -> None:
    pass


async def stays(ws: ClientConnection) -> None:
    for _ in range(100):  # never idle
        await send(ws, PING)
        await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Case:
    """A setting, what breaks it, and what follows."""

    setting: str
    value: float
    act: Callable[[ClientConnection], Awaitable[None]]
    code: str
    close: int
    limit: str

    def server(self, folder: Path, of: str) -> Keyed:
        own, name = ({self.setting: self.value}, "") if of == "key" else ({}, f"key_{self.setting}" if of == "every key" else self.setting)
        return Keyed(folder, own, burst_seconds=2, **({} if own else {name: self.value}))


CASES = [
    Case("max_frames_per_second", 5, sends_pings, "too_fast", 4429, "frames"),
    Case("max_bytes_per_second", 500, sends_much, "too_fast", 4429, "bytes"),
    Case("max_source_bytes", 100, sends_source, "source_too_long", 4413, "source"),
    Case("idle_seconds", 0.3, says_nothing, "idle", 4408, "idle"),
    Case("session_seconds", 0.3, stays, "session_too_long", 4408, "session_seconds"),
]
BOTH = [(case, of) for case in CASES for of in ("key", "server")]
RATES = [(case, "every key") for case in CASES if case.code == "too_fast"]


@pytest.mark.parametrize(("case", "of"), BOTH + RATES, ids=lambda value: getattr(value, "setting", value))
def test_what_is_over_a_limit_is_told_closed_and_counted(tmp_path: Path, case: Case, of: str) -> None:
    async def over(live: Live) -> Event:
        async with session(live) as ws:
            _, error = await asyncio.gather(case.act(ws), closed_with(ws, case.close, error=case.code), return_exceptions=True)
            assert isinstance(error, dict), error
            return error

    with case.server(tmp_path, of) as live:
        wait_until(lambda: live.worker.ready)
        error = asyncio.run(over(live))
        whose = "server" if of == "server" else "key"
        assert live.app_metric("proactivellm_limits_total", {"limit": case.limit, "of": whose}) == 1
        assert live.error_count(case.code) == 1
        assert (error["retry_after"] is not None) == (case.code == "too_fast")
        wait_until(lambda: live.engine.free_slots == SLOTS)


def test_a_key_may_have_more_than_the_server_gives_to_all(tmp_path: Path) -> None:
    async def act(live: Live) -> None:
        async with session(live) as ws:
            await sends_source(ws)
            await send(ws, END)
            await until(ws, "done")

    with Keyed(tmp_path, {"max_source_bytes": 1000}, max_source_bytes=10) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


# ---- how many


@pytest.mark.parametrize(
    ("own", "settings", "code", "close", "of"),
    [
        ({"max_sessions": 1}, {}, "too_many_sessions", 4429, "key"),
        ({}, {"key_max_sessions": 1}, "too_many_sessions", 4429, "key"),
        ({"max_sessions": 9}, {"max_sessions": 1, "key_max_sessions": 1}, "no_capacity", 1013, "server"),
    ],
)
def test_sessions_at_a_time(tmp_path: Path, own: dict[str, float], settings: dict[str, Any], code: str, close: int, of: str) -> None:
    async def second(live: Live) -> None:
        async with live.connect() as ws:
            await send(ws, START)
            error = await closed_with(ws, close, error=code)
            assert error is not None
            assert error["retry_after"] > 0

    async def act(live: Live) -> None:
        async with session(live) as ws:
            await second(live)
            await send(ws, append("dog "), END)
            await until(ws, "done")
            async with session(live):  # the first connection is still there, but its session is not
                await second(live)
        async with live.connect() as ws:
            for bad in ({"task": "sing"}, {"tier": "fastest"}):  # a refused start leaves nothing behind
                await send(ws, {**START, **bad, "threshold": None})
                assert (await receive(ws))["fatal"] is False
            await send(ws, START)
            assert (await receive(ws))["type"] == "session.started"
            ws.transport.abort()
        await asyncio.to_thread(wait_until, lambda: live.engine.free_slots == SLOTS)
        async with session(live):
            pass

    with Keyed(tmp_path, own, **settings) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
        assert live.app_metric("proactivellm_limits_total", {"limit": "sessions", "of": of}) == 2


def test_a_keys_tokens_share_what_it_may_use(tmp_path: Path) -> None:
    async def act(live: Keyed) -> None:
        token = (await asyncio.to_thread(ask, live, "/v1/tokens", method="POST", x_api_key=live.key))[1]["token"]
        async with session(live), connect(live.url, subprotocols=[SUBPROTOCOL, f"proactivellm.key.{token}"]) as ws:  # type: ignore[list-item]
            await send(ws, START)
            await closed_with(ws, 4429, error="too_many_sessions")

    with Keyed(tmp_path, {"max_sessions": 1}) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_a_key_whose_table_changes_keeps_its_sessions(tmp_path: Path) -> None:
    async def second(live: Keyed, *, lets: bool) -> None:
        async with live.connect() as ws:
            await send(ws, START)
            if lets:
                assert (await receive(ws))["type"] == "session.started"
            else:
                await closed_with(ws, 4429, error="too_many_sessions")

    async def act(live: Keyed) -> None:
        file = tmp_path / "keys.toml"
        table = file.read_text()
        async with session(live):
            file.write_text(table + "idle_seconds = 200.0\n")
            await second(live, lets=False)
            file.write_text(table.replace("max_sessions = 1", "max_sessions = 2"))
            await second(live, lets=True)
            file.write_text(table)
            await second(live, lets=False)
        await asyncio.sleep(0.1)
        await second(live, lets=True)

    with Keyed(tmp_path, {"max_sessions": 1}) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_connections_at_a_time(tmp_path: Path) -> None:
    async def act(live: Live) -> None:
        async with live.connect() as first:
            with pytest.raises(InvalidStatus) as refused:
                async with live.connect():
                    pytest.fail("it was let in")
            assert refused.value.response.status_code == 503
            assert refused.value.response.headers["Retry-After"] == "1"
            async with live.connect(origin=f"http://127.0.0.1:{live.port}") as ws:
                await closed_with(ws, 1013, error="no_capacity")
            await send(first, PING)
            assert (await receive(first))["type"] == "pong"
        await asyncio.sleep(0.1)
        async with session(live):
            pass

    with Live(max_connections=1) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
        assert live.app_metric("proactivellm_limits_total", {"limit": "connections", "of": "server"}) == 2


def test_requests_over_http_are_frames_too(tmp_path: Path) -> None:
    with Keyed(tmp_path, {"max_frames_per_second": 1}, burst_seconds=3) as live:
        answers = [ask(live, "/v1/models", x_api_key=live.key) for _ in range(6)]
        assert [status for status, _, _ in answers[:4]] == [200] * 4
        status, told, headers = answers[-1]
        assert (status, told["code"], headers["retry-after"]) == (429, "too_fast", "1")
        assert ask(live, "/healthz")[0] == 200


def test_one_keys_limit_is_not_its_neighbours(tmp_path: Path) -> None:
    async def act(live: Keyed, other: str) -> None:
        async with session(live), connect(live.url, additional_headers={"X-API-Key": other}) as ws:
            await send(ws, START, append("dog "), END)
            await until(ws, "done")

    with Keyed(tmp_path, {"max_sessions": 1, "max_frames_per_second": 1}) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live, add_key(tmp_path / "keys.toml", "other")))
