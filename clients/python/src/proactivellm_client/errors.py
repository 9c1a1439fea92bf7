"""What can go wrong for a client, as one tree. Knows no socket."""


class ClientError(Exception):
    """Root of everything that this package raises on purpose."""


class ConnectError(ClientError):
    """No connection: nobody listens there, or it is no websocket."""


class NotAuthorisedError(ConnectError):
    """The server wants an API key or token that is in force."""


class ClosedError(ClientError):
    """The connection ended before the session was done, without an error from the server."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"expected the connection to last until done, it was closed with {code}{f' ({reason})' if reason else ''}")
        self.code, self.reason = code, reason


class ProtocolError(ClientError):
    """The other side does not speak `proactivellm.v1`, or this side used a session in a state that does not allow it."""


class DivergedError(ClientError):
    """A session that was begun again does not write what was handed out before: that text and the rest do not belong together."""


class UnsendableError(ClientError):
    """A message that the server would close the connection for: half a surrogate pair, a number that JSON lacks, or too long a text.

    Nothing was sent or counted, and the session goes on.
    """


class ServerError(ClientError):
    """The server said no. `code` is stable (clients/protocol.md has the table), `param` names the field at fault."""

    def __init__(self, code: str, message: str, *, param: str | None, fatal: bool, retry_after: float | None) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.param, self.fatal, self.retry_after = code, message, param, fatal, retry_after


class NoCapacityError(ServerError):
    """Every slot is taken, or the models are still being loaded; `retry_after` is in seconds where the server knows."""
