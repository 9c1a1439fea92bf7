"""Heads of other packages: what is wrong with one is told when a session asks for it, and costs nobody else anything."""

import logging
from collections.abc import Iterator

import pytest

import heads
from engine.actions import Done, Failure, Write
from engine.request import Request
from errors import HeadError, UnknownNameError
from tests import tiny
from tests.heads import third_party


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(heads, "entry_points", third_party.entry_points)
    heads.known.cache_clear()
    yield
    heads.known.cache_clear()


def test_they_come_through_the_entry_point_group_and_replace_none_of_ours() -> None:
    assert heads.create("Counts") == third_party.Counts()
    assert heads.create("entropy").needs == {"entropy"}


def test_one_that_cannot_be_loaded_is_logged_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert "Counts" in heads.known()
    assert "'broken'" in caplog.text
    assert "ImportError: a library of theirs" in caplog.text
    with pytest.raises(UnknownNameError):
        heads.create("broken")


@pytest.mark.parametrize("name", third_party.REFUSED)
def test_one_that_breaks_the_protocol_is_refused(name: str) -> None:
    with pytest.raises(HeadError) as refused:
        heads.create(name)
    assert refused.value.code == "bad_head"


def test_unknown_needs_are_named_with_those_that_exist() -> None:
    with pytest.raises(HeadError, match="expected needs of: entropy, attention, history; got moon from NeedsTheMoon"):
        heads.create("NeedsTheMoon")


def test_history_alone_gets_the_attention_that_it_is_made_of() -> None:
    events = tiny.run(tiny.engine(), Request("echo", head="OnlyHistory", threshold=0.0), tiny.words("dog sat here"))
    assert not [event for event in events if isinstance(event, Failure)]
    assert any(isinstance(event, Write) for event in events)


def test_one_that_raises_fails_its_own_session_only() -> None:
    engine, queue = tiny.engine(slots=2), tiny.words("dog sat")
    bad, good = engine.open(Request("echo", head="RaisesInScore")), engine.open(Request("echo", threshold=0.4))
    for message in queue:
        bad.send(message)
        good.send(message)
    events = engine.step()
    failure, done = [event for owner, event in events if owner is bad]
    assert isinstance(failure, Failure)
    assert failure.error.message == "expected scores from RaisesInScore, got RuntimeError: of mine"
    assert isinstance(done, Done)
    rest = [event for owner, event in events if owner is good] + tiny.finish(engine, good)
    assert rest == tiny.run(tiny.engine(slots=1), Request("echo", threshold=0.4), queue)
