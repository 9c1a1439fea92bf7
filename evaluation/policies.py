"""What is compared: heads and baselines, each at one threshold or tier. Turns a policy and an item into a session's request.

Knows heads by name, and what some baselines must be told of an item; runs nothing.
"""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backbones.audio_file import milliseconds
from backbones.audio_mel import RATE
from backbones.audio_pcm import AudioFormat
from backbones.source_codec import count_units
from engine.request import Request
from errors import UnknownNameError
from tasks.example import Example

AUDIO = AudioFormat("float32", RATE)  # as recordings are sent
TOKEN_MS = 40  # of audio


def source_units(example: Example) -> int:
    """What heads count of a whole source: its words, or its audio tokens."""
    return count_units(example.source) if example.audio is None else milliseconds(example.audio) // TOKEN_MS


# Baselines that know what no server knows: the source's length, the end of the evidence, an item's own seed.
ITEM_PARAMS: Mapping[str, Callable[[Example], dict[str, Any]]] = {
    "fixed_fraction": lambda example: {"source_length": max(source_units(example), 1)},
    "oracle": lambda example: {"source_length": max(example.oracle or 0, 1)},
    "random": lambda example: {"seed": zlib.crc32(example.id.encode())},
}
HEAD_OF = {"oracle": "fixed_fraction", "random": "random_gate"}  # where the baseline's name is not its head's
WAIT_K = (1.0, 2.0, 3.0, 5.0, 7.0, 9.0, 13.0, 20.0, 30.0, 45.0, 70.0, 100.0)
CHUNKS = (2, 4, 8, 16, 32, 64)
FRACTIONS = tuple(i / 20 for i in range(4, 20))
LAST_UNITS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
CHANCES = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True)
class Policy:
    """A head or baseline, `name`, at a threshold or a tier: one point of a curve. With neither, the task's default tier."""

    name: str
    threshold: float | None = None
    tier: str | None = None
    params: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """Unique within a run: `entropy@0.8`, `entropy:low`, `fixed_chunk(n=4, r=4)@1`."""
        given = f"({', '.join(f'{name}={value}' for name, value in self.params)})" if self.params else ""
        at = f":{self.tier}" if self.tier else "" if self.threshold is None else f"@{self.threshold:.6g}"
        return f"{self.name}{given}{at}"

    def suits(self, example: Example) -> bool:
        """False for the oracle on an item without one."""
        return self.name != "oracle" or example.oracle is not None

    def request(self, task: str, example: Example, *, max_output_tokens: int | None = None) -> Request:
        """The session that runs this policy on an item. Decisions are asked for: they carry the delays and the scores."""
        of_item = ITEM_PARAMS[self.name](example) if self.name in ITEM_PARAMS else {}
        return Request(
            task=task,
            inputs=example.inputs,
            instruction=example.prompt,
            head=HEAD_OF.get(self.name, self.name),
            head_params={**dict(self.params), **of_item},
            threshold=self.threshold,
            tier=self.tier,
            max_output_tokens=max_output_tokens,
            decisions=True,
            audio=AUDIO if example.audio else None,
        )


def baselines(names: Sequence[str], examples: Sequence[Example]) -> list[Policy]:
    """The points of each baseline, no longer than the longest source. Raises UnknownNameError with the list of baselines."""
    longest = max((source_units(example) for example in examples), default=0)
    points: dict[str, list[Policy]] = {
        "full": [Policy("full", 0.0)],
        "wait_k": [Policy("wait_k", k) for k in WAIT_K if k <= longest],
        "fixed_chunk": [Policy("fixed_chunk", 1.0, params=(("n", n), ("r", n))) for n in CHUNKS if n <= longest],
        "fixed_fraction": [Policy("fixed_fraction", share) for share in FRACTIONS],
        "align_att": [Policy("align_att", f) for f in LAST_UNITS if f <= longest],
        "random": [Policy("random", chance) for chance in CHANCES],
        "oracle": [Policy("oracle", 1.0)] if any(example.oracle is not None for example in examples) else [],
    }
    for name in names:
        if name not in points:
            raise UnknownNameError("baseline", name, points)
    return [point for name in names for point in points[name]]


ALL_BASELINES = ("full", "wait_k", "fixed_chunk", "fixed_fraction", "align_att", "random", "oracle")
