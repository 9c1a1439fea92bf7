"""Settings: flags, then environment, then file; nothing unknown, and sizes that people write."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from errors import InvalidValueError
from server.config import is_loopback, parse_bytes, read_config


def test_flags_win_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "server.toml"
    file.write_text('port = 1\nhost = "127.0.0.2"\nkv_memory = "512MiB"\nmodel = ["a", "b"]\n')
    monkeypatch.setenv("PROACTIVELLM_PORT", "2")
    monkeypatch.setenv("PROACTIVELLM_HOST", "127.0.0.3")
    config = read_config(file, port=3)
    assert (config.port, config.host, config.kv_memory, config.model) == (3, "127.0.0.3", 512 << 20, ["a", "b"])
    assert (read_config().port, read_config().model) == (2, ["checkpoints/translate-en-de"])


def test_several_models_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROACTIVELLM_MODEL", "a, b")
    assert read_config().model == ["a", "b"]


@pytest.mark.parametrize(("text", "value"), [("7", 7), ("1GiB", 1 << 30), ("1.5 kb", 1500), ("2MB", 2_000_000), (64, 64)])
def test_bytes(text: str | int, value: int) -> None:
    assert parse_bytes(text) == value


@pytest.mark.parametrize("text", ["", "much", "-1", "1 furlong", "1e9"])
def test_what_is_no_number_of_bytes(text: str) -> None:
    with pytest.raises(ValueError, match="512MiB"):
        parse_bytes(text)


@pytest.mark.parametrize("flags", [{"port": 70_000}, {"dtype": "float8"}, {"model": []}, {"kv_memory": "0"}, {"thread": 1}])
def test_values_out_of_range_and_unknown_settings_are_refused(flags: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        read_config(**flags)


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "server.toml"
    file.write_text("prot = 1\n")
    with pytest.raises(ValidationError, match="prot"):
        read_config(file)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"none\.toml"):
        read_config(tmp_path / "none.toml")


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    for content in (b"port = ", b"\xff"):
        (tmp_path / "broken.toml").write_bytes(content)
        with pytest.raises(InvalidValueError, match=r"expected a TOML file at .*broken\.toml: "):
            read_config(tmp_path / "broken.toml")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "localhost.example.org", ""])  # noqa: S104
def test_beyond_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_origins_files_and_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROACTIVELLM_ALLOW_ORIGIN", "https://a.example, http://localhost:3000")
    assert read_config().allow_origin == ["https://a.example", "http://localhost:3000"]
    for origin in ("a.example", "https://a.example/", "https://", "https://a b"):
        with pytest.raises(ValidationError, match="expected origins as browsers send them"):
            read_config(allow_origin=[origin])
    with pytest.raises(ValidationError, match="api_keys_file"):
        read_config(api_keys_file=tmp_path / "none.toml")
    with pytest.raises(ValidationError, match="token_secret"):
        read_config(token_secret="short")  # noqa: S106 (refused)


def test_settings_that_exclude_each_other_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for flags, why in (
        ({"ssl_keyfile": file}, "expected ssl_keyfile and ssl_certfile, got one of them"),
        ({"ssl_certfile": file}, "expected ssl_keyfile and ssl_certfile, got one of them"),
        ({"api_keys_file": file, "simuleval": "words"}, "SimulEval can send no key"),
    ):
        with pytest.raises(ValidationError, match=why):
            read_config(**flags)
