"""The file of keys: what is in it, what is not, and what a change of it does."""

import hmac
import os
import tomllib
from pathlib import Path

import pytest
import structlog

from errors import InvalidValueError
from server.keys import Keys, add_key, digest, read_keys
from tests.server.keyed import keyed


def test_a_key_is_printed_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    file, first = keyed(tmp_path, "first", max_sessions=3)
    second = add_key(file, "second")
    assert first != second
    assert len(first) > 40
    assert first not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o600
    keys = read_keys(file)
    assert {name: key.sha256 for name, key in keys.items()} == {"first": digest(first), "second": digest(second)}
    assert keys["first"].max_sessions == 3
    assert tomllib.loads(file.read_text())["second"] == {"sha256": digest(second)}


@pytest.mark.parametrize("name", ["", "two words", "a.b", "ä", "x" * 65, 'a"]\n[b'])
def test_a_name_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidValueError, match="expected a name of 1 to 64"):
        add_key(tmp_path / "keys.toml", name)
    assert not (tmp_path / "keys.toml").exists()


def test_a_name_is_taken_once_and_a_file_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    file, _ = keyed(tmp_path, "first")
    with pytest.raises(InvalidValueError, match="does not hold yet"):
        add_key(file, "first")
    with pytest.raises(InvalidValueError, match="expected to write to"):
        add_key(tmp_path / "no" / "keys.toml", "first")


@pytest.mark.parametrize(
    "text",
    ["[a", "a = 1", "[a]\n", '[a]\nsha256 = "plm-thekeyitself"', '["a b"]\nsha256 = "' + "0" * 64 + '"', "[a]\nmax_sesions = 1", "\udcff"],
)
def test_a_file_that_holds_something_else_is_refused_without_repeating_it(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys.toml"
    file.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InvalidValueError, match="as `proactivellm make-key` writes them") as refused:
        Keys(file)
    assert "thekeyitself" not in refused.value.message
    with pytest.raises(InvalidValueError, match="No such file"):
        Keys(tmp_path / "none.toml")


def test_a_key_is_revoked_while_the_server_runs_and_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    file, first = keyed(tmp_path, "first")
    keys = Keys(file)
    second = add_key(file, "second")
    assert [caller.name for key in (first, second) if (caller := keys.find(key))] == ["first", "second"]
    assert keys.find("plm-other") is None
    whole = file.read_text()
    with structlog.testing.capture_logs() as lines:
        for broken in ("[first", None):
            file.unlink() if broken is None else file.write_text(broken)
            assert keys.find(first) is not None
            assert keys.find(first) is not None
    assert [line["event"] for line in lines] == ["keys.unreadable"] * 2  # once a change, not once a request
    file.write_text(whole.partition("[second]")[2].join(("[second]", "")))
    os.utime(file, ns=(1, 1))
    assert keys.find(first) is None
    assert keys.find(second) is not None


def test_every_key_is_compared_and_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, first = keyed(tmp_path, "first")
    for name in ("second", "third"):
        add_key(file, name)
    keys, compared = Keys(file), []
    real = hmac.compare_digest
    monkeypatch.setattr("server.keys.hmac.compare_digest", lambda a, b: compared.append(b) or real(a, b))
    assert keys.find(first) is not None
    assert keys.find("plm-other") is None
    assert len(compared) == 6
