"""The blocking client, for programs without an event loop: the same as aio.py on `websockets.sync`. What may come when is protocol.py's.

Sending and iterating may happen in two threads.
"""

import contextlib
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, Unpack

from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection
from websockets.sync.client import connect as open_socket
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
    `websockets.sync.client.connect`. Raises ProtocolError for what is no URL or no key.
    """
    return Client(url, api_key=api_key, resume=resume, replay=replay, **options)


class Client:
    """One connection. `with connect(url) as client` keeps it for several sessions, one after the other."""

    def __init__(self, url: str, *, api_key: str | None = None, resume: bool = False, replay: bool = False, **options: Any) -> None:
        self._url, self._options = websocket_url(url), socket_options(options, api_key)
        self._resume, self._replay = resume, replay
        self.resumed = 0  # times that a session went on over another connection
        self.replayed = 0  # times among them that it was begun again
        self._socket: ClientConnection | None = None
        self._closing = contextlib.ExitStack()
        self._pings = itertools.count(1)
        self._reset()

    def _reset(self) -> None:
        self._protocol = Protocol(resume=self._resume, replay=self._replay)
        self._session: Session | None = None  # the last that was started
        self._events: deque[Event] = deque()
        self._pongs: set[int] = set()
        self._receiving = False
        self._received = threading.Condition()
        self._sending = threading.Lock()

    def __enter__(self) -> Self:
        """Connects. Raises ConnectError, and its NotAuthorisedError without a key that is in force."""
        socket = self._dial()
        self._reset()
        self._socket = socket
        return self

    def _dial(self) -> ClientConnection:
        try:
            opening = open_socket(self._url, subprotocols=[Subprotocol(SUBPROTOCOL)], **self._options)
            socket: ClientConnection = self._closing.enter_context(opening)
        except (OSError, WebSocketException) as error:
            raise connect_error(self._url, error) from error
        if socket.subprotocol != SUBPROTOCOL:
            self._closing.close()
            raise ConnectError(f"expected a server that speaks {SUBPROTOCOL} at {self._url}, got another websocket")
        return socket

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the connection."""
        if self._socket is not None:
            self._closing.close()
            self._socket = None

    def session(self, task: str, **options: Unpack[Options]) -> "Session":
        """A session, to be entered with `with`; it brings its own connection if the client is not entered."""
        return Session(self, task, options)

    def _send(self, frame: str | bytes, n: int | None = None) -> None:
        if self._socket is None:
            raise ProtocolError("expected an open connection; use `with`")
        try:
            with self._sending:  # in the order in which they are kept
                resumed = self.resumed
                self._protocol.sent(frame, n)
                self._socket.send(frame)
        except ConnectionClosed as closed:
            if self._protocol.mendable:  # then it is sent over the next connection
                with self._received:
                    self._until(lambda: self.resumed != resumed or self._protocol.state == "done")
                return
            # Why it was closed may still lie unread.
            with contextlib.suppress(ClosedError), self._received:
                self._until(lambda: False)
            raise self._protocol.why(closed_error(closed)) from None

    def _pull(self) -> None:
        """Takes one event off the socket. Raises ServerError for a fatal one, ClosedError at the end of the connection."""
        if self._socket is None:
            raise ProtocolError("expected an open connection; use `with`")
        try:
            event = self._protocol.receive(self._socket.recv())
        except ConnectionClosed as closed:
            why = self._protocol.why(closed_error(closed))
            if not self._protocol.mendable:
                raise why from None
            self._mend(why)
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

    def _mend(self, why: ClientError) -> None:
        """Goes on over another connection. Raises `why` the last one ended if there is none, ServerError if the session is gone.

        And DivergedError if it was begun again as another.
        """
        for pause in pauses():
            time.sleep(pause)
            self._closing.close()
            try:
                return self._go_on()
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

    def _go_on(self) -> None:
        socket, unanswered = self._dial(), self._protocol.unanswered
        assert unanswered is not None
        arrived = self._take_up(socket)
        while True:
            with self._sending:  # of what another thread sends meanwhile, nothing may be left out
                frame = unanswered.after(arrived)
                if frame is None:
                    self._socket, self.resumed = socket, self.resumed + 1
                    return
            socket.send(frame)
            arrived += 1

    def _take_up(self, socket: ClientConnection) -> int:
        """The session, resumed or begun again over this connection: the number of frames that the server has."""
        if self._protocol.resumable:
            socket.send(self._protocol.resume())
            if (arrived := self._protocol.resumed(socket.recv())) is not None:
                return arrived
        socket.send(self._protocol.start_again())
        while not self._protocol.begun_again(socket.recv()):
            pass
        self.replayed += 1
        return 1

    def _until(self, satisfied: Callable[[], bool]) -> None:
        """Takes events off the socket until it is so. Of several threads one receives, and tells the others what it got.

        The caller holds `_received`, once.
        """
        while not satisfied():
            if self._receiving:
                self._received.wait()
                continue
            self._receiving = True
            self._received.release()
            try:
                self._pull()
            finally:
                self._received.acquire()
                self._receiving = False
                self._received.notify_all()

    def _begin(self, session: "Session", frame: str) -> None:
        """Sends a start. What still lies unread was meant for the session before."""
        with self._received:
            self._session, session.done = session, None
            self._events.clear()
            self._received.notify_all()
        self._send(frame, 0)

    def _next(self, session: "Session") -> Event | None:
        """The next event of a session, None after its last one, whoever took that."""

        def is_over() -> bool:
            return session.done is not None or self._session is not session

        with self._received:
            self._until(lambda: is_over() or bool(self._events))
            if session.done is not None:
                return None
            if is_over():
                raise ProtocolError("expected a session with a connection, got one whose connection a later session has")
            event = self._events.popleft()
            if isinstance(event, Done):
                session.done = event
                self._received.notify_all()
            return event

    def ping(self) -> float:
        """Seconds to the server and back. May run beside an iteration."""
        number, started = next(self._pings), time.perf_counter()
        self._send(self._protocol.ping(number))
        with self._received:
            self._until(lambda: number in self._pongs)
            self._pongs.discard(number)
        return time.perf_counter() - started


class Session:
    """One stream: `send` and `end` on one side, iteration on the other, in one thread or in two.

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
            raise ProtocolError("expected a session that has started; use `with`")
        return self._started

    def __enter__(self) -> Self:
        """Starts the session. Raises ConnectError, or ServerError (NoCapacityError) if the server refuses."""
        if self._client._socket is None:
            self._client.__enter__()
            self._owns_connection = True
        try:
            self._client._begin(self, self._client._protocol.start(self._task, self._options))
            while isinstance(event := self._client._next(self), GoingAway | UnknownEvent):
                pass  # nobody iterates yet
            if isinstance(event, Error):
                raise event.as_exception()
            if not isinstance(event, SessionStarted):
                raise ProtocolError(f"expected session.started, got {event}")
        except BaseException:
            if self._owns_connection:
                self._client.__exit__(None, None, None)
            raise
        self._started = event
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Closes the connection that it opened; on a shared one it cancels what still runs, so that the next session may start."""
        if self._owns_connection:
            self._client.__exit__(kind, error, trace)
        elif self.done is None and self._client._protocol.fatal is None:
            with contextlib.suppress(ClientError):
                self.cancel()
                for _ in self:
                    pass

    def _is_current(self) -> bool:
        """False once a later session has the connection: what is sent to this one is late, and dropped as the server would."""
        _ = self.started
        return self._client._session is self

    def send(self, text: str) -> None:
        """The next piece of the source, cut anywhere; a word is released at once if its trailing space comes with it."""
        if self._is_current():
            self._client._send(self._client._protocol.append(text), self._client._protocol.n)

    def send_audio(self, pcm: bytes) -> None:
        """The next samples, in the format that the session was started with; cut anywhere between two of them."""
        if self._is_current():
            for frame in self._client._protocol.audio(pcm):
                self._client._send(frame, self._client._protocol.n)

    def end(self) -> None:
        """No more source: the rest of the target is written."""
        if self._is_current():
            self._client._send(self._client._protocol.end(), self._client._protocol.n)

    def update(self, *, tier: str | None = None, threshold: float | None = None) -> None:
        """Another tier or threshold, from the next decision on; `SessionUpdated` says from which target token."""
        if self._is_current():
            self._client._send(self._client._protocol.update(tier, threshold))

    def cancel(self) -> None:
        """Ends the session; `Done` with reason `cancelled` follows, unless it was done before."""
        if self._is_current():
            self._client._send(self._client._protocol.cancel())

    def ping(self) -> float:
        """Seconds to the server and back."""
        return self._client.ping()

    def __iter__(self) -> Self:
        """Events up to and with `Done`. A refusal that is not fatal comes as an `Error` event, a fatal one is raised as ServerError."""
        return self

    def __next__(self) -> Event:
        _ = self.started
        event = self._client._next(self)
        if event is None:
            raise StopIteration
        return event

    def text(self) -> str:
        """Waits for the end of the session; all of the target's text. `done.reason` tells whether it is complete."""
        for _ in self:
            pass
        assert self.done is not None
        return self.done.text

    def exchange(self, text: str) -> list[Write]:
        """Sends one piece and waits until it is dealt with: the writes it led to. Not beside an iteration."""
        self.send(text)
        number, writes = self._client._protocol.n, []
        for event in self:
            if isinstance(event, Write):
                writes.append(event)
            elif isinstance(event, Read) and event.n == number:
                break
        return writes
