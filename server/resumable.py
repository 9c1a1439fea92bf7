"""A connection that outlives its socket: where one breaks, its session and what was sent are kept for the next.

Knows sockets, one after the other, and what may be sent again; knows no message and no session.
"""

import asyncio
import contextlib
from abc import abstractmethod

import structlog
from fastapi import WebSocket, WebSocketDisconnect
from pydantic import BaseModel

from errors import BadStateError, ProactiveError
from server.config import ServerConfig
from server.duplex import TELL_SECONDS, Build, Duplex, FatalError
from server.events import CLOSE_CODES
from server.metrics import Metrics
from server.resume import BROKEN, History, ResumeError, Resumes

log = structlog.get_logger()


class Resumable(Duplex):
    """resumes: once its client has asked for it, the connection that goes on over this socket, and the newest event that the client has."""

    def __init__(self, socket: WebSocket, config: ServerConfig, metrics: Metrics, resumes: Resumes) -> None:
        super().__init__(socket, config, metrics)
        self.resumes: tuple[Resumable, int] | None = None
        self._tokens, self._caller = resumes, socket.state.caller
        self._token: str | None = None
        self._history = History(config.resume_buffer)
        self._parked = False  # the socket broke, and nobody came back yet
        self._broke_at = 0  # number of the newest event then: its client has none that is newer
        self._claims = 0
        self._claimed = False  # its client is back, and waits for the socket before to end
        self._turn = asyncio.Lock()  # of the socket that is served

    async def serve(self) -> None:
        """As any connection; the session may outlast it."""
        async with self._turn:
            await super().serve()

    async def carry_on(self, socket: WebSocket, last_seq: int) -> None:
        """Goes on over another socket. The one before, if it does not know yet that it is broken, is told and closed first."""
        self._claims += 1
        claim, elsewhere = self._claims, FatalError("resumed_elsewhere", "expected one holder of the session, it was resumed by another")
        if self._ends_socket is not None and not self._ends_socket.done():
            self._ends_socket.set_result(elsewhere)  # not by `fail`: what the socket before ends with by itself must not end this one
        async with self._turn:
            if claim == self._claims and self._token is not None:
                await self._take_over(socket, last_seq)
                return
        # A third came while this one waited, or the session ended. Told outside the turn: it may take nothing.
        with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
            async with asyncio.timeout(TELL_SECONDS):
                await socket.send_text(self._error(elsewhere, fatal=True)(1).model_dump_json())
                await socket.close(CLOSE_CODES[elsewhere.code], elsewhere.code)

    async def _take_over(self, socket: WebSocket, last_seq: int) -> None:
        self._socket, self._claimed = socket, False
        self._number_waiting()
        self._drained.set()
        try:
            self._again = [self._resumed(self._seq).model_dump_json(), *self._history.since(last_seq)]
        except ResumeError as error:  # more was sent to the socket before than is kept
            self.fail(FatalError("slow_reader", error.message))
        log.info("session.resumed", session=self._session_id, events=len(self._again) - 1)
        await super().serve()

    def fail(self, error: ProactiveError) -> None:
        """As any connection; where nobody is left to be told the session ends."""
        if self._parked:
            self.abandon()
        else:
            super().fail(error)

    def _put(self, build: Build) -> None:
        """As any connection. While nobody can take events they are numbered, and kept as long as those that were sent.

        Where one is no longer kept that the client cannot have, nobody will resume the session: it ends, as its slot is of use to others.
        """
        if (self._parked or self._claimed) and self._events.full():
            self._number_waiting()
            if self._parked and not self._history.keeps(self._broke_at):
                log.info("session.given_up", session=self._session_id, events=self._history.last - self._broke_at)
                self._metrics.resumes.labels("not_kept").inc()
                self.abandon()
                return
        super()._put(build)

    def abandon(self) -> None:
        """Nobody came back: frees the slot."""
        self._parked = False
        self._drop_session()
        self._quota.end_session()
        self._forget()

    def _forget(self) -> None:
        super()._forget()
        self._history.clear()

    def _keep(self, error: ProactiveError | None, code: int | None) -> bool:
        if self._token is None:
            return False
        if error is not None:
            return error.code == "resumed_elsewhere"
        if self._claimed:
            return True
        self._parked = code in BROKEN and self._tokens.park(self._token)
        self._broke_at = self._history.last
        if self._parked:
            log.info("connection.broken", session=self._session_id, close_code=code)
        return self._parked

    # ---- for a protocol

    @property
    @abstractmethod
    def is_done(self) -> bool:
        """No session runs: what waits is events."""

    @abstractmethod
    def _resumed(self, seq: int) -> BaseModel:
        """What a client is told that came back; `seq` is the number of the newest event."""

    def _issue_token(self) -> str | None:
        """For the session that begins; None where the server does not resume."""
        self._token = self._tokens.issue(self, self._caller)
        return self._token

    def _forget_token(self) -> None:
        """The session cannot be resumed any more."""
        if self._token is not None:
            self._tokens.revoke(self._token)
            self._token = None

    def _resume(self, token: str, last_seq: int) -> None:
        """Leaves the socket to the connection of the token. Raises BadStateError, or ResumeError for a token or number of no use."""
        if self._frames != 1:
            raise BadStateError("expected session.resume as the first message of a connection, got it later")
        try:
            other = self._tokens.find(token, self._caller)
            assert isinstance(other, Resumable)
            if other._parked:
                other._number_waiting()
            other._history.since(last_seq)
        except ResumeError:
            self._frames -= 1  # a refused one does not count
            raise
        self._tokens.claim(token)
        other._parked, other._claimed = False, True
        self.resumes, self._leaves = (other, last_seq), True

    def _number_waiting(self) -> None:
        """What waits for a socket is kept with what was sent."""
        while not self._events.empty():
            if (build := self._events.get_nowait()) is not None:
                self._numbered(build)

    def _numbered(self, build: Build) -> str:
        frame = super()._numbered(build)
        if self._config.resume_seconds:
            self._history.add(frame)
        return frame
