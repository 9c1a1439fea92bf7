"""Settings of the server: flags, environment (PROACTIVELLM_*) and a TOML file, in that order of precedence.

Knows names, types and defaults; opens nothing.
"""

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, FilePath, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_core import from_json
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from errors import InvalidValueError
from server.logs import LogFormat
from server.wire import SessionStart

DEFAULT_MODEL = "checkpoints/translate-en-de"
_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "kb": 10**3, "mb": 10**6, "gb": 10**9}


def parse_bytes(value: str | int) -> int:
    """`512MiB`, `2GB` or a plain number, in bytes. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(value))
    if not match or match[2].lower() not in _UNITS:
        raise ValueError(f"expected a number of bytes such as 512MiB or 2GB, got {value!r}")
    return int(float(match[1]) * _UNITS[match[2].lower()])


def _models(value: object) -> object:
    """An environment variable holds several values with commas between them."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _some(value: list[str]) -> list[str]:
    if not all(value) or not value:
        raise ValueError("expected at least one model")
    return value


def _origins(value: list[str]) -> list[str]:
    for origin in value:
        if origin != "*" and not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^/\s]+", origin):
            raise ValueError(f"expected origins as browsers send them, such as https://app.example.org, or *; got {origin[:80]!r}")
    return value


def _hosts(value: list[str]) -> list[str]:
    for host in value:
        if host != "*" and not re.fullmatch(r"[A-Za-z0-9._-]+", host):
            raise ValueError(f"expected names of hosts without scheme and port, such as models.example.org, or *; got {host[:80]!r}")
    return [host.lower() for host in value]


def _start(value: object) -> object:
    """A task's name, or the fields of a `session.start` as JSON or as a table of the file."""
    if isinstance(value, str):
        value = from_json(value) if value.lstrip().startswith("{") else {"task": value}
    return {"type": "session.start", **value} if isinstance(value, dict) else value


def is_loopback(host: str) -> bool:
    """True for loopback addresses and `localhost`; any other name may resolve to anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class ServerConfig(BaseSettings):
    """What an operator may set. Sizes of queues are per connection."""

    model_config = SettingsConfigDict(env_prefix="PROACTIVELLM_", extra="forbid", frozen=True)

    model: Annotated[list[str], NoDecode, BeforeValidator(_models), AfterValidator(_some)] = [DEFAULT_MODEL]
    adapter: str | None = Field(default=None, description="a folder with a LoRA for the one model, as peft writes it")
    merge_adapter: bool = Field(default=True, description="add adapters to the weights; false: compute them beside, which is slower")
    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    insecure: bool = Field(default=False, description="allow an address beyond loopback although there are no keys")
    api_keys_file: FilePath | None = Field(default=None, description="TOML file of keys, as `proactivellm make-key` writes it")
    token_secret: SecretStr | None = Field(
        default=None, min_length=32, description="signs browser tokens; needed where several servers are to take each other's"
    )
    token_seconds: int = Field(default=300, gt=0, le=3600, description="how long a browser token may be used to connect")
    allow_origin: Annotated[list[str], NoDecode, BeforeValidator(_models), AfterValidator(_origins)] = Field(
        default=[], description="origins of pages that may connect, beside the server's own"
    )
    allowed_hosts: Annotated[list[str], NoDecode, BeforeValidator(_models), AfterValidator(_hosts)] = Field(
        default=[], description="names by which a server without keys may be called, beside addresses, localhost and `host`; * for any"
    )
    ssl_keyfile: FilePath | None = None
    ssl_certfile: FilePath | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device: str = "cpu"
    threads: int | None = Field(default=None, ge=1, description="torch threads; default: torch's own choice")
    kv_memory: Annotated[int, BeforeValidator(parse_bytes)] = Field(
        default=256 << 20, ge=1, description="bytes of keys and values, a model"
    )
    slot_length: int = Field(default=2048, ge=2, description="tokens a session may hold: prompt, source and target")
    tick_tokens: int = Field(default=256, ge=4, description="tokens of one forward pass")
    max_message_bytes: int = Field(default=64 << 10, ge=1024, description="largest text frame")
    max_queued_messages: int = Field(default=64, ge=1, description="source messages that may wait; then the socket is not read")
    max_queued_events: int = Field(default=1024, ge=8, description="events that may wait for a slow client; then it is closed")
    stalled_seconds: float = Field(
        default=10.0, gt=0, description="a client that takes no event for so long while half of those wait is closed"
    )
    send_buffer: int = Field(default=256 << 10, ge=4096, description="bytes of the kernel's send buffer for one socket")
    idle_seconds: float = Field(default=300.0, gt=0, description="a connection that sends nothing for so long is closed")
    session_seconds: float = Field(default=3600.0, gt=0, description="a session that runs for longer is closed")
    max_source_bytes: int = Field(default=1 << 20, ge=1, description="source of one session, in bytes of UTF-8")
    max_audio_seconds: float = Field(default=3600.0, gt=0, description="audio of one session")
    max_file_bytes: Annotated[int, BeforeValidator(parse_bytes)] = Field(
        default=32 << 20, ge=1024, description="largest file of /v1/transcribe; it must arrive within request_seconds"
    )
    max_connections: int = Field(default=1024, ge=1, description="websockets of the server")
    max_requests: int = Field(
        default=1024,
        ge=1,
        description="connections that are no open websocket: requests, handshakes, closes; beyond it the oldest is dropped",
    )
    request_seconds: float = Field(default=10.0, gt=0, description="a connection that has not sent a whole request by then is dropped")
    max_sessions: int | None = Field(default=None, ge=1, description="sessions of the server; default: as many as there are slots")
    max_frames_per_second: float | None = Field(default=None, gt=0, description="of all connections together")
    max_bytes_per_second: float | None = Field(default=None, gt=0, description="of all connections together")
    key_max_sessions: int | None = Field(default=None, ge=1, description="sessions of one key")
    key_max_frames_per_second: float | None = Field(default=1000.0, gt=0, description="of all connections of one key")
    key_max_bytes_per_second: float | None = Field(default=float(8 << 20), gt=0, description="of all connections of one key")
    burst_seconds: float = Field(default=10.0, ge=0, description="so many seconds' worth of frames and bytes may come at once")
    resume_seconds: float = Field(
        default=0.0, ge=0, description="a session whose connection broke waits so long to be resumed; 0: not at all"
    )
    resume_buffer: Annotated[int, BeforeValidator(parse_bytes)] = Field(
        default=512 << 10, ge=1 << 10, description="bytes of a connection's newest events that are kept to be sent again"
    )
    max_parked: int = Field(default=256, ge=1, description="connections that broke and may be resumed, of the server")
    key_max_parked: int = Field(default=32, ge=1, description="connections that broke and may be resumed, of one key")
    grace_seconds: float = Field(default=25.0, ge=0, description="at a SIGTERM running sessions may go on for so long")
    max_restarts: int = Field(default=3, ge=0, description="a device's thread that fails is begun again so often in ten minutes; then exit")
    watchdog_seconds: float = Field(
        default=30.0, ge=0, description="work that the device's thread is at for longer is a stall; 0: no watchdog"
    )
    shed: bool = Field(default=False, description="under load, sessions that allow it get a wider stride")
    overload_queue_seconds: float = Field(default=10.0, ge=0, description="overload: the oldest source message waits longer; 0: never")
    overload_tick_seconds: float = Field(default=5.0, ge=0, description="overload: the slowest tick takes longer; 0: never")
    canary_seconds: float = Field(default=2.0, gt=0, description="an idle model is tried that often; /readyz allows five times that")
    log_content: bool = Field(default=False, description="log what is streamed, source and target")
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: LogFormat = Field(default="auto", description="json, text, or auto: text on a terminal, JSON elsewhere")
    record: Path | None = Field(default=None, description="folder for recordings of sessions: they hold the source and the target")
    record_limit: Annotated[int, BeforeValidator(parse_bytes)] = Field(
        default=1 << 30, ge=1 << 20, description="bytes that recordings may take; the oldest are deleted"
    )
    simuleval: Annotated[SessionStart | None, NoDecode, BeforeValidator(_start)] = Field(
        default=None, description="SimulEval's remote evaluation, over loopback only: a task, or a session.start as JSON"
    )

    @field_validator("adapter")
    @classmethod
    def _for_one_model(cls, value: str | None, info: ValidationInfo) -> str | None:
        models = info.data.get("model", ())
        if value is not None and len(models) != 1:
            raise ValueError(
                f"expected one model beside it, got {len(models)}; a folder with an adapter and its backbone is a model by itself"
            )
        return value

    @field_validator("simuleval")
    @classmethod
    def _loopback_only(cls, value: SessionStart | None, info: ValidationInfo) -> SessionStart | None:
        host = info.data.get("host", "")
        if value is not None and not is_loopback(host):
            raise ValueError(f"expected a loopback host beside it, got {host!r}: its one session is for one client on this machine")
        return value

    @model_validator(mode="after")
    def _agree(self) -> "ServerConfig":
        if (self.ssl_keyfile is None) != (self.ssl_certfile is None):
            raise ValueError("expected ssl_keyfile and ssl_certfile, got one of them")
        if self.simuleval is not None and self.api_keys_file is not None:
            raise ValueError("expected no api_keys_file beside simuleval: SimulEval can send no key")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then environment, then the file: what is closest to the command wins."""
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls))


def read_config(file: Path | None = None, **flags: Any) -> ServerConfig:
    """The settings in force. Raises InvalidValueError for a file that is not there or no TOML, pydantic's ValidationError for a value."""
    if file is None:
        return ServerConfig(**flags)
    if not file.is_file():
        raise InvalidValueError(f"expected a TOML file at {file}, found none", param="config")

    class FromFile(ServerConfig):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        return FromFile(**flags)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InvalidValueError(f"expected a TOML file at {file}: {error}", param="config") from None
