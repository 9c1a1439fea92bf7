"""Whatever comes over the socket: the server never dies, never leaks a slot, never leaks one session's text to another.

The last is tested twice: honest sessions beside the hostile ones equal the same sessions alone, and nobody sees another's mark.
"""

import asyncio
import random
import socket
from collections.abc import Coroutine, Iterator
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from websockets.asyncio.client import ClientConnection

from engine.actions import Append, End, Message, Update
from engine.engine import Engine
from engine.request import Request
from server.events import to_wire
from tests import tiny
from tests.server.hostile import Hostile, frame
from tests.server.keyed import ask
from tests.server.live import END, LENGTH, SLOTS, Event, Live, append, neighbour, receive, send, until, wait_until


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live(stalled_seconds=1.0) as server:
        wait_until(lambda: server.worker.ready)
        yield server


def check_health(live: Live) -> None:
    """Nothing is left of those who are gone."""
    assert live.worker.failed is None
    assert ask(live, "/readyz")[0] == 200
    wait_until(lambda: live.engine.free_slots == SLOTS)
    wait_until(lambda: live.app_metric("proactivellm_connections", {}) == 0)
    wait_until(lambda: live.app_metric("proactivellm_sessions", {"model": "tiny"}) == 0)


# ---- a flood of random frames


async def flood(live: Live, alone: list[Event], count: int, seed: int) -> int:
    """Four hostile clients at a time and an honest one beside them; how often that one was served."""
    left, served = count, 0

    async def attack(number: int) -> None:
        nonlocal left
        rng, hostile = random.Random(f"{seed}/{number}"), Hostile(live, number)
        while left > 0:
            left -= 1
            if rng.random() < 0.005:
                await hostile.send_raw(rng.randbytes(rng.randrange(1, 200)))
                await hostile.leave(abort=True)
            await hostile.send(frame(rng, hostile.mark))
            if rng.random() < 0.5:  # else what comes behind a frame that closes the connection would be lost, and try nothing
                await hostile.settle()
            if rng.random() < 0.01:
                await hostile.leave(abort=rng.random() < 0.5)
        await hostile.leave(abort=False)

    async def behave() -> None:
        nonlocal served
        while left > 0:
            assert await neighbour(live) == alone
            served += 1

    await asyncio.gather(behave(), *(attack(number) for number in range(4)))
    return served


@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_a_flood_of_anything_disturbs_nobody(live: Live, count: int) -> None:
    alone = asyncio.run(neighbour(live))
    assert asyncio.run(flood(live, alone, count, seed=1)) > 0
    check_health(live)


@pytest.mark.parametrize("seed", range(20))
def test_bytes_that_are_no_http_are_no_harm(live: Live, seed: int) -> None:
    rng = random.Random(seed)
    head = b"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    with socket.create_connection(("127.0.0.1", live.port), timeout=10) as raw:
        raw.sendall(rng.choice([b"", head, head + b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"]) + rng.randbytes(300))
    assert ask(live, "/healthz")[0] == 200


# ---- a state machine, which hypothesis shrinks to the shortest conversation that goes wrong


class Honest:
    """A session that keeps to the protocol, and what it must get: the same messages through an engine of its own."""

    def __init__(self, live: Live, request: Request, start: Event) -> None:
        self._live, self._request, self._start = live, request, start
        self._messages: list[Message] = []
        self._ws: ClientConnection | None = None

    async def begin(self) -> None:
        self._ws = await self._live.connect()
        await send(self._ws, {"type": "session.start", **self._start})
        assert (await receive(self._ws))["type"] == "session.started"

    async def send(self, message: Message) -> None:
        assert self._ws is not None
        self._messages.append(message)
        match message:
            case Append():
                await send(self._ws, append(message.text))
            case Update():
                await send(self._ws, {"type": "session.update", "threshold": message.threshold})
            case End():
                await send(self._ws, END)

    async def finish(self, solo: Engine) -> None:
        assert self._ws is not None
        await self.send(End())
        events = [{name: value for name, value in event.items() if name != "seq"} for event in await until(self._ws, "done")]
        await self._ws.close()
        expected = [to_wire(event, 0).model_dump(mode="json", exclude={"seq"}) for event in tiny.run(solo, self._request, self._messages)]
        assert events == expected


class Server(RuleBasedStateMachine):
    """Up to three honest sessions and two hostile clients, in any order of steps."""

    live: ClassVar[Live]
    solo: ClassVar[Engine]

    @initialize()
    def begin(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.honest: list[Honest] = []
        self.hostile = [Hostile(self.live, number) for number in range(2)]

    def run(self, act: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(asyncio.wait_for(act, 30))

    @precondition(lambda self: len(self.honest) < 3)
    @rule(threshold=st.sampled_from([-1.0, 0.2, 0.4, 0.6, 2.0]), head=st.sampled_from([None, "attention", "wait_k"]))
    def starts(self, threshold: float, head: str | None) -> None:
        honest = Honest(
            self.live,
            Request("echo", threshold=threshold, head=head),
            {"task": "echo", "threshold": threshold, **({"head": head} if head else {})},
        )
        self.run(honest.begin())
        self.honest.append(honest)

    @precondition(lambda self: self.honest)
    @rule(
        which=st.integers(0, 2),
        message=st.builds(Append, st.text("ab 世\n", max_size=12)) | st.builds(Update, st.sampled_from([0.1, 0.5, 0.9])),
    )
    def streams(self, which: int, message: Message) -> None:
        self.run(self.honest[which % len(self.honest)].send(message))

    @precondition(lambda self: self.honest)
    @rule(which=st.integers(0, 2))
    def ends(self, which: int) -> None:
        self.run(self.honest.pop(which % len(self.honest)).finish(self.solo))

    @rule(which=st.integers(0, 1), seed=st.integers(0, 2**32), count=st.integers(1, 12))
    def attacks(self, which: int, seed: int, count: int) -> None:
        rng, hostile = random.Random(seed), self.hostile[which]
        self.run(hostile.send(*(frame(rng, hostile.mark) for _ in range(count))))

    @rule(which=st.integers(0, 1), text=st.text(max_size=50) | st.binary(max_size=50))
    def sends_what_is_no_message(self, which: int, text: str | bytes) -> None:
        self.run(self.hostile[which].send(text))

    @rule(which=st.integers(0, 1), data=st.binary(min_size=1, max_size=50))
    def sends_what_is_no_frame(self, which: int, data: bytes) -> None:
        self.run(self.hostile[which].send_raw(data))

    @rule(which=st.integers(0, 1), abort=st.booleans())
    def leaves(self, which: int, abort: bool) -> None:
        self.run(self.hostile[which].leave(abort=abort))

    @invariant()
    def lives(self) -> None:
        assert self.live.thread.is_alive()
        assert self.live.worker.failed is None

    def teardown(self) -> None:
        for honest in self.honest:
            self.run(honest.finish(self.solo))
        for hostile in self.hostile:
            self.run(hostile.leave(abort=False))
        self.loop.close()
        check_health(self.live)


@pytest.mark.parametrize("examples", [6, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])])
def test_any_order_of_steps(live: Live, examples: int) -> None:
    Server.live, Server.solo = live, tiny.engine(slots=1, length=LENGTH)
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        Server, settings=settings(max_examples=examples, stateful_step_count=30, deadline=None, suppress_health_check=checks)
    )
