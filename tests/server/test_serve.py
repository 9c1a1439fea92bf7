"""The process: what it binds, and what it refuses to."""

import socket

import pytest

from errors import InvalidValueError
from server.config import ServerConfig, is_loopback
from server.serve import bind, serve


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", ""])  # noqa: S104
def test_beyond_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_an_address_beyond_loopback_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(InvalidValueError, match="--insecure"):
        serve(ServerConfig(host="0.0.0.0"))  # noqa: S104


def test_a_port_in_use_is_told() -> None:
    with bind(ServerConfig(port=0)) as taken, pytest.raises(InvalidValueError, match="in use"):
        bind(ServerConfig(port=taken.getsockname()[1]))


def test_the_send_buffer_is_bounded() -> None:
    with bind(ServerConfig(port=0, send_buffer=8192)) as listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 4 * 8192  # kernels double what they are asked for
