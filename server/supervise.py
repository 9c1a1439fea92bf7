"""How often, and after which wait, what failed is begun again. Pure: the time comes with the question; knows no thread and no model."""

WITHIN = 600.0  # seconds: what failed before that is forgotten
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0  # seconds


class Restarts:
    """At most `limit` within ten minutes, each after twice the wait of the one before."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._at: list[float] = []

    def next_wait(self, now: float) -> float | None:
        """Seconds to wait before the next restart, which counts from now on; None if there were enough."""
        self._at = [at for at in self._at if now - at < WITHIN]
        if len(self._at) >= self._limit:
            return None
        self._at.append(now)
        return float(min(LONGEST_WAIT, FIRST_WAIT * 2 ** (len(self._at) - 1)))
