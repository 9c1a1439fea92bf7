"""Fixed chunk, a baseline: read n words, write r, and so on. Looks at counts only, never at the model."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import Field

from heads.base import MAX_COUNT, Need, Signals


@dataclass(frozen=True)
class FixedChunk:
    """score = words that may be written by now (r for every n read) - words written; the default threshold 1 writes all of them.

    Of audio, n counts decision points.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    default_threshold: ClassVar[float] = 1.0

    n: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 4
    r: Annotated[int, Field(ge=1, le=MAX_COUNT)] = 4

    def score(self, signals: Signals) -> torch.Tensor:
        """[B]."""
        return (signals.read // self.n * self.r - signals.written).float()
