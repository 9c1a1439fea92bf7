"""Heads as other packages might write them, most of them badly, and the entry points that offer them. Knows no test."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from heads import Signals


class Sound:
    """A head that only counts; what the others get wrong, it gets right."""

    needs: Any = frozenset()
    default_threshold: ClassVar[float] = 1.0

    def score(self, signals: Signals) -> torch.Tensor:
        return signals.phi.float()


@dataclass(frozen=True)
class Counts(Sound):
    pass


@dataclass
class NotFrozen(Sound):
    k: int = 1


@dataclass(frozen=True)
class HoldsAList(Sound):
    weights: list[float] = field(default_factory=list)


class Opaque:
    pass


@dataclass(frozen=True)
class NoSchema(Sound):
    inside: Opaque = field(default_factory=Opaque)


@dataclass(frozen=True)
class RaisesInNeeds(Sound):
    @property
    def needs(self) -> frozenset[str]:
        raise RuntimeError("of mine")


@dataclass(frozen=True)
class RaisesWhenMade(Sound):
    def __post_init__(self) -> None:
        raise RuntimeError("of mine")


@dataclass(frozen=True)
class NeedsTheMoon(Sound):
    needs: ClassVar[frozenset[str]] = frozenset({"entropy", "moon"})


@dataclass(frozen=True)
class NoThreshold(Sound):
    default_threshold: ClassVar[Any] = None


@dataclass(frozen=True)
class ScoreIsNoMethod(Sound):
    score: ClassVar[Any] = 0.5


@dataclass(frozen=True)
class OnlyHistory(Sound):
    """Sums what is attended to: it writes as soon as anything was."""

    needs: ClassVar[frozenset[str]] = frozenset({"history"})
    default_threshold: ClassVar[float] = 0.0

    def score(self, signals: Signals) -> torch.Tensor:
        assert signals.history is not None
        assert bool((signals.history.sum(dim=1) > 0).eq(signals.index > 0).all())
        return signals.history.sum(dim=1)


@dataclass(frozen=True)
class RaisesInScore(Sound):
    def score(self, signals: Signals) -> torch.Tensor:
        raise RuntimeError("of mine")

    def __repr__(self) -> str:
        raise RuntimeError("of mine too")


REFUSED: dict[str, type] = {
    cls.__name__: cls
    for cls in (
        NotFrozen,
        HoldsAList,
        NoSchema,
        RaisesInNeeds,
        RaisesWhenMade,
        NeedsTheMoon,
        NoThreshold,
        ScoreIsNoMethod,
        int,
    )
}
USABLE: dict[str, type] = {cls.__name__: cls for cls in (Counts, OnlyHistory, RaisesInScore)}


class Entry:
    """An entry point; `load` does what importing the package would."""

    def __init__(self, name: str, load: Callable[[], object]) -> None:
        self.name, self.load = name, load


def broken() -> object:
    raise ImportError("a library of theirs is not there")


def entry_points(*, group: str) -> list[Entry]:
    assert group == "proactivellm.heads"
    offered = [Entry(name, lambda cls=cls: cls) for name, cls in {**REFUSED, **USABLE}.items()]  # type: ignore[misc]  # bound now
    return [Entry("broken", broken), *offered, Entry("entropy", lambda: Counts)]
