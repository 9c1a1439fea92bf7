"""What a session that hears told, to compare two of them. Knows events alone."""

from typing import Any

import pytest

from engine.actions import Decision, Done, Event, Write


def told(events: list[Event]) -> list[tuple[Any, ...]]:
    """What does not depend on how the samples were cut: all but the reads and the numbers of messages."""
    found: list[tuple[Any, ...]] = []
    for event in events:
        if isinstance(event, Write):
            found.append((event.text, event.index, event.count, event.phi))
        elif isinstance(event, Decision):
            found.append((event.action, event.phi, event.index, pytest.approx(event.score, abs=1e-4)))
        elif isinstance(event, Done):
            found.append((event.text, event.reason, event.usage, event.rco, event.ail))
    return found
