"""Records made by hand, for what is computed from them. Knows no model."""

import re
from collections.abc import Sequence

from evaluation.record import Clock, Record
from evaluation.store import Run

RUN = Run(model="tiny", model_hash=None, task="answer", data="needle:dev:4", data_hash="0" * 64)


def record(
    label: str,
    item: int,
    delays: Sequence[int],
    *,
    length: int = 10,
    target: str | None = None,
    right: bool = True,
    clock: Clock | None = None,
) -> Record:
    """An item of `length` words whose reference is "a b"; the target has a token a word."""
    written = ("a b" if right else "c d") if target is None else target
    return Record(
        policy=label,
        curve=re.split(r"[@:(]", label, maxsplit=1)[0],
        threshold=float(label.rpartition("@")[2]) if "@" in label else None,
        id=f"i{item:02d}",
        cluster="",
        source=" ".join("w" for _ in range(length)),
        references=("a b",),
        target=written,
        reason="end",
        source_length=length,
        read=delays[-1] if delays else length,
        delays=tuple(delays),
        word_delays=tuple(delays[: len(written.split())]),
        decisions=(),
        clock=clock,
    )


def sweep(items: int = 12) -> list[Record]:
    """A head, the full view, wait_k and fixed_fraction. Hard items are hard for all; at equal coverage the head gets more right."""
    made = []
    for item in range(items):
        rank = (5 * item) % items
        made.append(record("full@0", item, [10, 10], right=rank < 10))
        for percent, correct in ((40, 6), (60, 9), (80, 11)):
            made.append(record(f"entropy@0.{percent}", item, [percent // 10 - item % 2] * 2, right=rank < correct))
        for k, correct in ((2, 1), (5, 3), (9, 7)):
            made.append(record(f"wait_k@{k}", item, [k, k], right=rank < correct))
            made.append(record(f"fixed_fraction@0.{k}", item, [k, k], right=rank < correct + 2))
    return made
