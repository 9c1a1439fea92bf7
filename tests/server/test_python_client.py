"""The Python client against the real server: what it hands out is what the engine said."""

import asyncio
from collections.abc import Iterator

import pytest
from proactivellm_client import Decision, Done, Error, NoCapacityError, Read, ServerError, SessionUpdated, UnsendableError, Write, connect
from proactivellm_client import sync as blocking

from engine import actions
from engine.request import Request
from tests import tiny
from tests.server.live import LENGTH, SLOTS, TEXT, Live, wait_until


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def url(live: Live) -> str:
    return f"ws://127.0.0.1:{live.port}"


def expected() -> list[actions.Event]:
    return tiny.run(tiny.engine(length=LENGTH), Request("echo", threshold=0.4), tiny.words(" ".join(TEXT)))


def test_asyncio(live: Live) -> None:
    async def act() -> list[object]:
        async with connect(url(live)).session("echo", threshold=0.4) as session:
            assert (session.started.model, session.started.threshold) == ("tiny", 0.4)
            for word in TEXT:
                await session.send(word + " ")
            await session.end()
            return [event async for event in session]

    events = asyncio.run(act())
    ours = expected()
    assert [type(event).__name__ for event in events] == [type(event).__name__ for event in ours]
    for event, our in zip(events, ours, strict=True):
        if isinstance(event, Write) and isinstance(our, actions.Write):
            assert (event.text, event.index, event.count, event.phi, event.n) == (our.text, our.index, our.count, our.phi, our.n)
        if isinstance(event, Done) and isinstance(our, actions.Done):
            assert (event.text, event.rco, event.ail) == (our.text, our.rco, our.ail)


def test_blocking_word_by_word(live: Live) -> None:
    with blocking.connect(url(live)).session("echo", threshold=0.4) as session:
        texts = ["".join(write.text for write in session.exchange(word + " ")) for word in TEXT]
        session.end()
        whole = session.text()
    done = expected()[-1]
    assert isinstance(done, actions.Done)
    assert whole == done.text
    assert whole.startswith("".join(texts))


def test_updates_decisions_pings_and_refusals(live: Live) -> None:
    async def act() -> None:
        async with connect(url(live)).session("echo", tier="high", include_decisions=True) as session:
            await session.update(tier="low")
            await session.update(tier="lowest")
            assert await session.ping() > 0
            assert await session.exchange("dog ")
            await session.end()
            await session.text()
            assert session.done is not None

    asyncio.run(act())

    async def see() -> set[type]:
        async with connect(url(live)).session("echo", tier="high", include_decisions=True) as session:
            await session.update(tier="low")
            await session.update(tier="lowest")
            await session.send("dog ")
            await session.end()
            return {type(event) for event in [event async for event in session]}

    assert asyncio.run(see()) >= {SessionUpdated, Error, Decision, Write, Done}


def test_refused_starts_and_a_full_house(live: Live) -> None:
    async def act() -> None:
        with pytest.raises(ServerError, match="unknown_task"):
            async with connect(url(live)).session("sing"):
                pytest.fail("it was refused")
        held = [connect(url(live)).session("echo") for _ in range(SLOTS)]
        for session in held:
            await session.__aenter__()
        with pytest.raises(NoCapacityError) as full:
            async with connect(url(live)).session("echo"):
                pytest.fail("it was refused")
        assert full.value.retry_after == 1.0
        for session in held:
            await session.__aexit__(None, None, None)

    asyncio.run(act())
    wait_until(lambda: live.engine.free_slots == SLOTS)


def test_leaving_early_on_a_shared_connection_frees_the_slot_for_the_next_session(live: Live) -> None:
    async def act() -> list[object]:
        async with connect(url(live)) as client:
            async with client.session("echo", threshold=0.9) as session:
                await session.send("dog ")
            async with client.session("echo", threshold=0.9) as session:
                await session.send("dog ")
                return [await anext(aiter(session))]

    assert [type(event) for event in asyncio.run(act())] == [Read]


def test_a_text_that_cannot_be_sent_does_not_close_the_session(live: Live) -> None:
    with blocking.connect(url(live)).session("echo", threshold=0.4) as session:
        for text in ("\ud800", "x" * live.config.max_message_bytes):
            with pytest.raises(UnsendableError):
                session.send(text)
        session.exchange("dog ")
        session.end()
        session.text()
    assert session.done is not None
    assert session.done.usage.source_units == 1
