"""The head of docs/heads.md: found through its package's entry point, asked on signals made by hand, and served on the tiny engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import heads
from engine.actions import Done, Failure, Write
from engine.request import Request
from errors import InvalidValueError
from heads import Signals
from tests import tiny
from tests.docs import workspace
from tests.docs.pages import ROOT, blocks


@pytest.fixture(autouse=True)
def _installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    workspace.package(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    heads.known.cache_clear()
    yield
    heads.known.cache_clear()


def phis(head: str, **params: int) -> list[int]:
    events = tiny.run(tiny.engine(), Request("words", head=head, head_params=params, threshold=-1.0), tiny.words("the dog sat down here"))
    assert not [event for event in events if isinstance(event, Failure)]
    assert isinstance(events[-1], Done)
    return [event.phi for event in events if isinstance(event, Write)]


def test_it_is_as_short_as_the_page_says() -> None:
    module = next(block for block in blocks(ROOT / "docs/heads.md") if block.language == "python")
    assert len([line for line in module.text.splitlines() if line.strip()]) <= 20


def test_it_scores_certainty_and_vetoes_what_is_too_near() -> None:
    signals = Signals(
        phi=torch.tensor([1, 3, 3]),
        written=torch.tensor([0, 0, 1]),
        index=torch.tensor([0, 0, 2]),
        log_vocab=4.0,
        entropy=torch.tensor([1.0, 1.0, 2.0]),
    )
    assert heads.create("cautious").score(signals).tolist() == [float("-inf"), 0.75, 0.5]
    assert heads.create("cautious", ahead=3).score(signals).tolist() == [float("-inf"), 0.75, float("-inf")]
    with pytest.raises(InvalidValueError, match=r"head\.ahead"):
        heads.create("cautious", ahead=-1)


def test_the_engine_serves_it_and_its_parameter_is_kept_to() -> None:
    assert phis("cautious", ahead=0)[0] == 1  # every score passes this threshold but the veto
    assert phis("cautious", ahead=3)[0] == 3
