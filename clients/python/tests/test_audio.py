"""Samples as source: both clients send them as binary frames that are counted, cut where a message would be too large."""

import asyncio
import json
from typing import Any

import pytest
from proactivellm_client import ProtocolError, UnsendableError, connect
from proactivellm_client import sync as blocking
from proactivellm_client.protocol import Protocol
from websockets.asyncio.server import ServerConnection, serve

from clients.python.tests.fake import STARTED, done

FORMAT = {"format": "pcm16", "rate": 16_000, "channels": 2}


def hearing(limit: int = 10) -> dict[str, Any]:
    return {**STARTED, "unit": "ms", "limits": {**STARTED["limits"], "max_source_seconds": 60.0, "max_message_bytes": limit}}


def started(audio: dict[str, Any] | None = FORMAT) -> Protocol:
    protocol = Protocol()
    frame = json.loads(protocol.start("t", {"audio": audio}))
    assert frame.get("modality") == ("audio" if audio else None)
    event = protocol.receive(json.dumps(hearing()))
    assert event.limits.max_source_seconds == 60.0  # type: ignore[union-attr]
    return protocol


def test_samples_are_cut_between_two_of_them_and_counted() -> None:
    protocol = started()
    assert list(protocol.audio(bytes(range(20)))) == [bytes(range(8)), bytes(range(8, 16)), bytes(range(16, 20))]
    assert protocol.n == 3
    assert list(protocol.audio(b"")) == []
    protocol.end()
    with pytest.raises(ProtocolError, match="after end"):
        list(protocol.audio(bytes(4)))


def test_what_is_no_sample_and_what_is_of_another_kind_is_not_sent() -> None:
    with pytest.raises(UnsendableError, match="multiple of 4 bytes"):
        list(started().audio(bytes(6)))
    with pytest.raises(UnsendableError, match="use send"):
        list(started(None).audio(bytes(4)))
    with pytest.raises(UnsendableError, match="use send_audio"):
        started().append("dog ")


def test_both_clients_send_binary_frames() -> None:
    got: list[list[Any]] = []

    async def play(socket: ServerConnection) -> None:
        got.append([json.loads(await socket.recv())])
        await socket.send(json.dumps(hearing()))
        got[-1] += [await socket.recv() for _ in range(3)]
        await socket.send(json.dumps(done(2, "x")["message"]))
        await socket.wait_closed()

    def block(url: str) -> str:
        with blocking.connect(url).session("t", audio=FORMAT) as session:
            session.send_audio(bytes(12))
            session.end()
            return session.text()

    async def act() -> None:
        async with serve(play, "127.0.0.1", 0, subprotocols=["proactivellm.v1"]) as server:  # type: ignore[list-item]  # a NewType of str
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            async with connect(url).session("t", audio=FORMAT) as session:
                await session.send_audio(bytes(12))
                await session.end()
                assert await session.text() == "x"
            assert await asyncio.to_thread(block, url) == "x"

    asyncio.run(asyncio.wait_for(act(), 20))
    start = {"type": "session.start", "task": "t", "audio": FORMAT, "modality": "audio"}
    assert got == [[start, bytes(8), bytes(4), '{"type": "source.end"}']] * 2
