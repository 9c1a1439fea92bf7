"""The asyncio client: connections and sessions over `websockets`. Knows I/O and its order; what may come when is protocol.py's."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, Unpack

from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_socket
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.typing import Subprotocol

from proactivellm_client.errors import ClientError, ClosedError, ConnectError, NotAuthorisedError, ProtocolError, ServerError
from proactivellm_client.events import Done, Error, Event, GoingAway, Pong, Read, SessionStarted, UnknownEvent, Write
from proactivellm_client.opening import closed_error, connect_error, socket_options
from proactivellm_client.protocol import SUBPROTOCOL, Options, Protocol, is_for_iteration, websocket_url
from proactivellm_client.replayed import ELSEWHERE
from proactivellm_client.unanswered import pauses


def connect(url: str, *, api_key: str | None = None, resume: bool = False, replay: bool = False, **options: Any) -> "Client":
    """A client of the server at `url` (`ws://host:port`; `http` and a missing path are understood). Connects when it is entered.

    `api_key`: a key or browser token; without it $PROACTIVELLM_API_KEY is taken, and "" sends none. `resume`: a session goes on over
    another connection where one breaks, if the server keeps it (`session.started.resume_token`). `replay`: where it cannot, it is begun
    again, perhaps at another server, and its whole source, which is kept in memory for that, sent again; what was handed out is not
    handed out again, and DivergedError is raised if the session does not go as before. `options` go to
    `websockets.asyncio.client.connect`. Raises ProtocolError for what is no URL or no key.
    """
    return Client(url, api_key=api_key, resume=resume, replay=replay, **options)


class Client:
    """One connection. `async with connect(url) as client` keeps it for several sessions, one after the other."""

    def __init__(self, url: str, *, api_key: str | None = None, resume: bool = False, replay: bool = False, **options: Any) -> None:
        self._url, self._options = websocket_url(url), socket_options(options, api_key)
        self._resume, self._replay = resume, replay
        self.resumed = 0  # times that a session went on over another connection
        self.replayed = 0  # times among them that it was begun again
        self._socket: ClientConnection | None = None
        self._pings = 0
        self._reset()

    def _reset(self) -> None:
        self._protocol = Protocol(resume=self._resume, replay=self._replay)
        self._session: Session | None = None  # the last that was started
        self._events: deque[Event] = deque()
        self._pongs: set[int] = set()
        self._receiving = asyncio.Lock()

    async def __aenter__(self) -> Self:
        """Connects. Raises ConnectError, and its NotAuthorisedError without a key that is in force."""
        socket = await self._dial()
        self._reset()
        self._socket = socket
        return self

    async def _dial(self) -> ClientConnection:
        try:
            socket = await open_socket(self._url, subprotocols=[Subprotocol(SUBPROTOCOL)], **self._options)
        except (OSError, WebSocketException) as error:
            raise connect_error(self._url, error) from error
        if socket.subprotocol != SUBPROTOCOL:
            await socket.close()
            raise ConnectError(f"expected a server that speaks {SUBPROTOCOL} at {self._url}, got another websocket")
        return socket

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the connection."""
        if self._socket is not None:
            await self._socket.close()
            self._socket = None

    def session(self, task: str, **options: Unpack[Options]) -> "Session":
        """A session, to be entered with `async with`; it brings its own connection if the client is not entered."""
        return Session(self, task, options)

    async def _send(self, frame: str | bytes, n: int | None = None) -> None:
        if self._socket is None:
            raise ProtocolError("expected an open connection; use `async with`")
        resumed = self.resumed
        self._protocol.sent(frame, n)
        try:
            await self._socket.send(frame)
        except ConnectionClosed as closed:
            if self._protocol.mendable:  # then it is sent over the next connection
                await self._until(lambda: self.resumed != resumed or self._protocol.state == "done")
                return
            # Why it was closed may still lie unread.
            with contextlib.suppress(ClosedError):
                await self._until(lambda: False)
            raise self._protocol.why(closed_error(closed)) from None

    async def _pull(self) -> None:
        """Takes one event off the socket. Raises ServerError for a fatal one, ClosedError at the end of the connection."""
        if self._socket is None:
            raise ProtocolError("expected an open connection; use `async with`")
        try:
            event = self._protocol.receive(await self._socket.recv())
        except ConnectionClosed as closed:
            why = self._protocol.why(closed_error(closed))
            if not self._protocol.mendable:
                raise why from None
            await self._mend(why)
            return
        if event is None:
            return
        if isinstance(event, Error) and event.fatal:
            if not self._protocol.mendable:
                raise event.as_exception()
            return  # the server closes the connection next
        if isinstance(event, Pong) and isinstance(event.id, int):
            self._pongs.add(event.id)
        if is_for_iteration(event):
            self._events.append(event)

    # ---- a connection that broke

    async def _mend(self, why: ClientError) -> None:
        """Goes on over another connection. Raises `why` the last one ended if there is none, ServerError if the session is gone.

        And DivergedError if it was begun again as another.
        """
        for pause in pauses():
            await asyncio.sleep(pause)
            try:
                return await self._go_on()
            except NotAuthorisedError:
                raise
            except (ConnectError, ConnectionClosed):
                continue
            except LookupError:
                break
            except ServerError as refused:
                if not self._replay or refused.code not in ELSEWHERE:
                    raise
        raise why

    async def _go_on(self) -> None:
        socket, unanswered = await self._dial(), self._protocol.unanswered
        assert unanswered is not None
        try:
            arrived = await self._take_up(socket)
            while (frame := unanswered.after(arrived)) is not None:
                await socket.send(frame)
                arrived += 1
        except BaseException:
            await socket.close()
            raise
        self._socket, self.resumed = socket, self.resumed + 1

    async def _take_up(self, socket: ClientConnection) -> int:
        """The session, resumed or begun again over this connection: the number of frames that the server has."""
        if self._protocol.resumable:
            await socket.send(self._protocol.resume())
            if (arrived := self._protocol.resumed(await socket.recv())) is not None:
                return arrived
        await socket.send(self._protocol.start_again())
        while not self._protocol.begun_again(await socket.recv()):
            pass
        self.replayed += 1
        return 1

    async def _until(self, satisfied: Callable[[], bool]) -> None:
        """Takes events off the socket until it is so. Of several tasks one receives at a time."""
        while not satisfied():
            async with self._receiving:
                if not satisfied():  # another task may have taken it off the socket while this one waited
                    await self._pull()

    async def _begin(self, session: "Session", frame: str) -> None:
        """Sends a start. What still lies unread was meant for the session before."""
        self._session, session.done = session, None
        self._events.clear()
        await self._send(frame, 0)

    async def _next(self, session: "Session") -> Event | None:
        """The next event of a session, None after its last one, whoever took that."""

        def is_over() -> bool:
            return session.done is not None or self._session is not session

        await self._until(lambda: is_over() or bool(self._events))
        if session.done is not None:
            return None
        if is_over():
            raise ProtocolError("expected a session with a connection, got one whose connection a later session has")
        event = self._events.popleft()
        if isinstance(event, Done):
            session.done = event
        return event

    async def ping(self) -> float:
        """Seconds to the server and back. May run beside an iteration."""
        self._pings += 1
        number, started = self._pings, time.perf_counter()
        await self._send(self._protocol.ping(number))
        await self._until(lambda: number in self._pongs)
        self._pongs.discard(number)
        return time.perf_counter() - started


class Session:
    """One stream: `send` and `end` on one side, iteration on the other, in one task or in two.

    started: what the server chose; done: the last event, once it came
    """

    def __init__(self, client: Client, task: str, options: Options) -> None:
        self._client, self._task, self._options = client, task, options
        self._owns_connection = False
        self._started: SessionStarted | None = None
        self.done: Done | None = None

    @property
    def started(self) -> SessionStarted:
        """Model, head, threshold and limits. Raises ProtocolError before the session is entered."""
        if self._started is None:
            raise ProtocolError("expected a session that has started; use `async with`")
        return self._started

    async def __aenter__(self) -> Self:
        """Starts the session. Raises ConnectError, or ServerError (NoCapacityError) if the server refuses."""
        if self._client._socket is None:
            await self._client.__aenter__()
            self._owns_connection = True
        try:
            await self._client._begin(self, self._client._protocol.start(self._task, self._options))
            while isinstance(event := await self._client._next(self), GoingAway | UnknownEvent):
                pass  # nobody iterates yet
            if isinstance(event, Error):
                raise event.as_exception()
            if not isinstance(event, SessionStarted):
                raise ProtocolError(f"expected session.started, got {event}")
        except BaseException:
            if self._owns_connection:
                await self._client.__aexit__(None, None, None)
            raise
        self._started = event
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the connection that it opened; on a shared one it cancels what still runs, so that the next session may start."""
        if self._owns_connection:
            await self._client.__aexit__(kind, error, trace)
        elif self.done is None and self._client._protocol.fatal is None:
            with contextlib.suppress(ClientError):
                await self.cancel()
                async for _ in self:
                    pass

    def _is_current(self) -> bool:
        """False once a later session has the connection: what is sent to this one is late, and dropped as the server would."""
        _ = self.started
        return self._client._session is self

    async def send(self, text: str) -> None:
        """The next piece of the source, cut anywhere; a word is released at once if its trailing space comes with it."""
        if self._is_current():
            await self._client._send(self._client._protocol.append(text), self._client._protocol.n)

    async def send_audio(self, pcm: bytes) -> None:
        """The next samples, in the format that the session was started with; cut anywhere between two of them."""
        if self._is_current():
            for frame in self._client._protocol.audio(pcm):
                await self._client._send(frame, self._client._protocol.n)

    async def end(self) -> None:
        """No more source: the rest of the target is written."""
        if self._is_current():
            await self._client._send(self._client._protocol.end(), self._client._protocol.n)

    async def update(self, *, tier: str | None = None, threshold: float | None = None) -> None:
        """Another tier or threshold, from the next decision on; `SessionUpdated` says from which target token."""
        if self._is_current():
            await self._client._send(self._client._protocol.update(tier, threshold))

    async def cancel(self) -> None:
        """Ends the session; `Done` with reason `cancelled` follows, unless it was done before."""
        if self._is_current():
            await self._client._send(self._client._protocol.cancel())

    async def ping(self) -> float:
        """Seconds to the server and back."""
        return await self._client.ping()

    def __aiter__(self) -> Self:
        """Events up to and with `Done`. A refusal that is not fatal comes as an `Error` event, a fatal one is raised as ServerError."""
        return self

    async def __anext__(self) -> Event:
        _ = self.started
        event = await self._client._next(self)
        if event is None:
            raise StopAsyncIteration
        return event

    async def text(self) -> str:
        """Waits for the end of the session; all of the target's text. `done.reason` tells whether it is complete."""
        async for _ in self:
            pass
        assert self.done is not None
        return self.done.text

    async def exchange(self, text: str) -> list[Write]:
        """Sends one piece and waits until it is dealt with: the writes it led to. Not beside an iteration."""
        await self.send(text)
        number, writes = self._client._protocol.n, []
        async for event in self:
            if isinstance(event, Write):
                writes.append(event)
            elif isinstance(event, Read) and event.n == number:
                break
        return writes
