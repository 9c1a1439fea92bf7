"""Client of the ProactiveLLM server: `connect` is the asyncio one, `proactivellm_client.sync.connect` the blocking one."""

from proactivellm_client.aio import Client, Session, connect
from proactivellm_client.errors import (
    ClientError,
    ClosedError,
    ConnectError,
    NoCapacityError,
    NotAuthorisedError,
    ProtocolError,
    ServerError,
    UnsendableError,
)
from proactivellm_client.events import (
    Decision,
    Done,
    Error,
    Event,
    Limits,
    Pong,
    Read,
    SessionStarted,
    SessionUpdated,
    UnknownEvent,
    Usage,
    Write,
)

__all__ = [
    "Client",
    "ClientError",
    "ClosedError",
    "ConnectError",
    "Decision",
    "Done",
    "Error",
    "Event",
    "Limits",
    "NoCapacityError",
    "NotAuthorisedError",
    "Pong",
    "ProtocolError",
    "Read",
    "ServerError",
    "Session",
    "SessionStarted",
    "SessionUpdated",
    "UnknownEvent",
    "UnsendableError",
    "Usage",
    "Write",
    "connect",
]
