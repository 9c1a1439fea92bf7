"""The process: what it binds, and what it refuses to."""

import socket
from pathlib import Path

import pytest
import structlog

from errors import CheckpointError, InvalidValueError
from server.config import ServerConfig
from server.serve import bind, check_device, serve


def test_an_address_beyond_loopback_is_refused_before_anything_is_loaded() -> None:
    with pytest.raises(InvalidValueError, match="--insecure"):
        serve(ServerConfig(host="0.0.0.0"))  # noqa: S104


def test_a_port_in_use_is_told() -> None:
    with bind(ServerConfig(port=0)) as taken, pytest.raises(InvalidValueError, match="in use"):
        bind(ServerConfig(port=taken.getsockname()[1]))


def test_the_send_buffer_is_bounded() -> None:
    with bind(ServerConfig(port=0, send_buffer=8192)) as listening:
        assert listening.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 4 * 8192  # kernels double what they are asked for


@pytest.mark.parametrize(
    ("device", "why"), [("gpu", "got 'gpu'"), ("meta", "got 'meta'"), ("cuda", "torch finds none"), ("cuda:9", "torch finds")]
)
def test_a_device_that_is_not_there_is_refused_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch, device: str, why: str) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InvalidValueError, match=why):
        serve(ServerConfig(device=device))
    check_device("cpu")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    check_device("cuda:1")


def test_what_loading_the_models_raised_is_raised_and_not_logged(tmp_path: Path) -> None:
    with structlog.testing.capture_logs() as lines, pytest.raises(CheckpointError, match="nothing at"):
        serve(ServerConfig(port=0, model=[str(tmp_path / "none")]))
    assert "worker.failed" not in [line["event"] for line in lines]
