"""A session whose server is gone: begun again at another, it hands out what follows and nothing twice, or says that it differs."""

import asyncio
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from proactivellm_client import ClosedError, ConnectError, DivergedError, Error, Event, ServerError, connect
from proactivellm_client import sync as blocking

from tests import tiny
from tests.server.live import SLOTS, TEXT, Live, wait_until
from tests.server.proxy import Fault, proxied
from tests.server.test_resume import has_started_late, plain

CUTS = st.builds(Fault, up=st.none() | st.integers(600, 1500), down=st.none() | st.integers(700, 3000))
LATER = st.builds(Fault, up=st.none() | st.integers(250, 1500), down=st.none() | st.integers(250, 3000))
SETTINGS: dict[str, Any] = {"kv_memory": 10**7, "resume_seconds": 20}


@pytest.fixture(scope="module")
def first() -> Iterator[Live]:
    with Live(**SETTINGS) as server:
        wait_until(lambda: server.worker.ready)
        yield server


@pytest.fixture(scope="module")
def second() -> Iterator[Live]:
    with Live(**SETTINGS) as server:
        wait_until(lambda: server.worker.ready)
        yield server


@pytest.fixture(scope="module", autouse=True)
def impatient() -> Iterator[None]:
    """The client's first attempts at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("proactivellm_client.unanswered.DELAYS", (0.0, 0.01, 0.02, 0.1, 0.5, 1.0))
        yield


async def stream(url: str, words: Sequence[str] = TEXT, **options: Any) -> tuple[list[Event], int]:
    """One session with every kind of message: its events, and how often it was begun again."""
    client = connect(url, replay=True, **options)
    async with client.session("echo", threshold=0.4, include_decisions=True) as going:

        async def speak() -> None:
            for place, word in enumerate(words):
                await going.send(word + " ")
                if place == 4:
                    await going.update(tier="high")
                if place == 7:
                    await going.ping()
                    await going.update(threshold=0.4)
                    await going.update(tier="none of them")
            await going.end()

        speaking = asyncio.create_task(speak())
        events = [event async for event in going]
        await speaking
        return events, client.replayed


def session_events(events: Sequence[Event]) -> tuple[list[Any], int]:
    """Scores may differ in their last digits, and when a refused update is told is a matter of time."""
    told = [event for event in events if isinstance(event, Error)]
    going = [
        {name: value for name, value in fields.items() if name != "score"}
        for fields in plain([event for event in events if event not in told])
    ]
    return going, len(told)


@pytest.fixture(scope="module")
def unbroken(first: Live) -> tuple[list[Any], int]:
    return session_events(asyncio.run(stream(first.url))[0])


@given(cut=CUTS, later=st.lists(LATER, max_size=2), resume=st.booleans())
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_wherever_it_is_cut_another_server_goes_on(
    first: Live, second: Live, unbroken: tuple[list[Any], int], cut: Fault, later: list[Fault], resume: bool
) -> None:
    async def act() -> list[Event]:
        async with proxied(first.port, [cut, *later], elsewhere=second.port) as proxy:
            return (await stream(proxy.url, resume=resume))[0]

    try:
        events = asyncio.run(act())
    except (ConnectError, ClosedError):
        assert has_started_late(cut)
    else:
        assert session_events(events) == unbroken


def test_it_is_begun_again_once_a_break_unless_it_can_be_resumed(first: Live, second: Live, unbroken: tuple[list[Any], int]) -> None:
    async def act(**options: Any) -> tuple[list[Event], int]:
        async with proxied(first.port, [Fault(down=2000), Fault(down=2500)], elsewhere=second.port) as proxy:
            return await stream(proxy.url, **options)

    events, replayed = asyncio.run(act())
    assert session_events(events) == unbroken
    assert replayed == 2
    events, replayed = asyncio.run(act(resume=True))
    assert session_events(events) == unbroken
    assert replayed == 1  # the second break is resumed: the server has that session


def test_the_blocking_client_too(first: Live, second: Live, unbroken: tuple[list[Any], int]) -> None:
    events: list[Event] = []

    def talk(url: str) -> int:
        client = blocking.connect(url, replay=True)
        with client.session("echo", threshold=0.4, include_decisions=True) as going:

            def speak() -> None:
                for place, word in enumerate(TEXT):
                    going.send(word + " ")
                    if place == 4:
                        going.update(tier="high")
                    if place == 7:
                        going.update(threshold=0.4)
                        going.update(tier="none of them")
                going.end()

            speaking = threading.Thread(target=speak)
            speaking.start()
            events.extend(going)
            speaking.join(20)
            return client.replayed

    async def act() -> int:
        async with proxied(first.port, [Fault(down=1500), Fault(up=900)], elsewhere=second.port) as proxy:
            return await asyncio.to_thread(talk, proxy.url)

    assert asyncio.run(act()) >= 1
    assert session_events(events) == unbroken


def test_a_server_that_leaves_or_fails_hands_its_sessions_on(second: Live) -> None:
    async def act(leaving: Live) -> str:
        async with proxied(leaving.port, [], elsewhere=second.port) as proxy:
            client = connect(proxy.url, replay=True)
            async with client.session("echo", threshold=0.4) as going:
                for word in TEXT[:6]:
                    await going.exchange(word + " ")
                leaving.server.should_exit = True  # `shutting_down`, then 1012
                for word in TEXT[6:]:
                    await going.send(word + " ")
                    await asyncio.sleep(0.02)
                await going.end()
                text = await going.text()
            assert client.replayed == 1
            return text

    async def whole() -> str:
        async with connect(second.url).session("echo", threshold=0.4) as going:
            for word in TEXT:
                await going.send(word + " ")
            await going.end()
            return await going.text()

    with Live(kv_memory=10**7) as leaving:
        wait_until(lambda: leaving.worker.ready)
        assert asyncio.run(act(leaving)) == asyncio.run(whole())


def test_a_full_server_is_asked_again(first: Live) -> None:
    async def act(full: Live) -> int:
        async with proxied(first.port, [Fault(down=1500)], elsewhere=full.port) as proxy:
            held = [connect(full.url).session("echo") for _ in range(SLOTS)]
            for session in held:
                await session.__aenter__()
            streaming = asyncio.create_task(stream(proxy.url))
            await asyncio.to_thread(wait_until, lambda: full.error_count("no_capacity") > 0)
            for session in held:
                await session.__aexit__(None, None, None)
            return (await streaming)[1]

    with Live() as full:
        wait_until(lambda: full.worker.ready)
        assert asyncio.run(act(full)) == 1


def test_a_server_with_other_weights_is_noticed(first: Live) -> None:
    async def act(other: Live) -> None:
        async with proxied(first.port, [Fault(down=2500)], elsewhere=other.port) as proxy:
            await stream(proxy.url)

    with Live(lambda *_: tiny.checkpoint("llama"), **SETTINGS) as other:
        wait_until(lambda: other.worker.ready)
        with pytest.raises(DivergedError, match="to go as before"):
            asyncio.run(act(other))


def test_without_being_asked_nothing_is_begun_again(first: Live, second: Live) -> None:
    async def act() -> None:
        async with (
            proxied(first.port, [Fault(down=1000)], elsewhere=second.port) as proxy,
            connect(proxy.url, resume=True).session("echo", threshold=0.4) as going,
        ):
            for word in TEXT:
                await going.send(word + " ")
            await going.end()
            await going.text()

    with pytest.raises(ServerError, match="unknown_session"):
        asyncio.run(act())


def test_a_cancelled_session_is_not_begun_again(first: Live) -> None:
    async def act() -> None:
        client = connect(first.url, replay=True)
        async with client.session("echo", threshold=0.4) as going:
            await going.exchange("dog ")
            await going.cancel()
            assert not client._protocol.mendable

    asyncio.run(act())
