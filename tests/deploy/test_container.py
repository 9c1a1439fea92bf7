"""The image and the composition: every package is in it, nobody is root, and nothing may be written that need not be."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text())


def test_the_image_holds_every_package_of_the_distribution() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = set(re.findall(r"^COPY (\S+) \1$", DOCKERFILE, re.MULTILINE))
    assert {name.rstrip("*") for name in listed} <= copied
    assert all((ROOT / folder).is_dir() for folder in copied)


def test_the_image_runs_as_a_user_who_is_not_root_and_stops_on_a_signal() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert re.search(r'^CMD \["proactivellm", "serve"', last, re.MULTILINE)  # no shell between the signal and the server


@pytest.mark.parametrize("name", COMPOSE["services"])
def test_each_service_is_hardened(name: str) -> None:
    service = COMPOSE["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_the_server_needs_keys_and_is_given_time_to_stop() -> None:
    server = COMPOSE["services"]["server"]
    assert "--api-keys-file" in server["command"]
    assert "--insecure" not in server["command"]
    assert int(server["stop_grace_period"].rstrip("s")) > 10
    assert set(COMPOSE["secrets"]) == {"api_keys", "metrics_key", "grafana_password"}


def test_what_is_mounted_is_there() -> None:
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in COMPOSE["volumes"] or (ROOT / "deploy" / source).exists(), source
