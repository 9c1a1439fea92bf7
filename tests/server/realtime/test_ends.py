"""How a response on `/v1/realtime` ends: cancelled, early, too long, without a slot, with the client or the server gone."""

import asyncio
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed

from tests.server.live import Live, memory, session, wait_until
from tests.server.realtime.talk import CLOSED, free, kinds, talk


@pytest.fixture(scope="module")
def live() -> Iterator[Live]:
    with Live() as server:
        wait_until(lambda: server.worker.ready)
        yield server


def test_cancel(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await t.item("The ", more=True)
            await t.connection.response.create()
            response = (await t.until("response.created"))[-1]["response"]
            await t.connection.response.cancel(response_id="resp_other", event_id="not that")
            assert (await t.until("error"))[-1]["error"]["event_id"] == "not that"
            await t.connection.response.cancel(response_id=response["id"])
            events = await t.until("response.done")
            assert kinds(events)[-5:] == CLOSED
            assert (events[-1]["response"]["status"], events[-1]["response"]["status_details"]["reason"]) == (
                "cancelled",
                "client_cancelled",
            )
            assert events[-1]["response"]["output"][0]["status"] == "incomplete"
            await t.connection.response.cancel()
            error = (await t.receive())["error"]
            assert (error["type"], error["code"]) == ("invalid_request_error", "response_cancel_not_active")
            await t.item("The dog ")  # a new source, although the old one's end was never said
            assert (await t.respond())[-1]["response"]["status"] == "incomplete"

    asyncio.run(act())
    wait_until(lambda: free(live))


def test_the_rest_of_a_source_whose_response_is_done_is_nobody_s(live: Live) -> None:
    async def act() -> None:
        async with talk(live, own={"task": "echo", "threshold": -1.0}) as t:  # writes all it may at the first word
            await t.item("The ", more=True)
            assert (await t.respond())[-1]["response"]["status"] == "incomplete"
            await t.item("dog ", more=True)
            assert (await t.until("conversation.item.done"))[-1]["item"]["status"] == "incomplete"
            await t.connection.response.create(event_id="early")
            assert (await t.receive())["error"]["code"] == "bad_state"
            await t.item("sat ")
            await t.connection.response.create()
            assert (await t.until("error"))[-1]["error"]["code"] == "bad_state"
            await t.item("The cats ")
            assert (await t.until("conversation.item.done"))[-1]["item"]["status"] == "completed"
            assert (await t.respond())[-1]["response"]["output"]

    asyncio.run(act())


def test_a_source_that_outgrows_its_slot_fails(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await t.item("The dog sat " * 60)
            response = (await t.respond())[-1]["response"]
            assert (response["status"], response["status_details"]["error"]["code"]) == ("failed", "context_length_exceeded")

    asyncio.run(act())


def test_a_client_that_leaves_frees_its_slot(live: Live) -> None:
    async def act() -> None:
        async with talk(live) as t:
            await t.item("The ", more=True)
            await t.connection.response.create()
            await t.until("response.created")
            assert not free(live)

    asyncio.run(act())
    wait_until(lambda: free(live))


def test_every_slot_taken_is_told_and_the_source_stays() -> None:
    async def act(live: Live) -> None:
        async with talk(live) as t:
            await t.item("The dog ")
            async with session(live):
                await t.connection.response.create(event_id="full")
                error = (await t.until("error"))[-1]["error"]
                assert (error["type"], error["code"], error["event_id"]) == ("server_error", "no_capacity", "full")
            wait_until(lambda: free(live))
            assert (await t.respond())[-1]["response"]["output"]

    with Live(kv_memory=memory(1)) as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))


def test_clients_are_told_before_the_server_shuts_down() -> None:
    async def act(live: Live) -> None:
        async with talk(live) as t:
            live.server.should_exit = True
            error = (await t.receive())["error"]
            assert (error["code"], error["event_id"]) == ("shutting_down", None)
            with pytest.raises(ConnectionClosed) as closed:
                await t.receive()
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1012

    with Live() as live:
        wait_until(lambda: live.worker.ready)
        asyncio.run(act(live))
