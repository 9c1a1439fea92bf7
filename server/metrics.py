"""Prometheus metrics of the server, one registry a process. Knows names, units and labels; counts nothing itself.

Every label takes few values: models, heads and codes are those that exist, never what a client made up.
"""

from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, PlatformCollector, ProcessCollector

from heads import known
from server.events import CLOSE_CODES

TICK_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
TICK_SESSIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
TICK_TOKENS = (1, 4, 16, 64, 256, 1024, 4096)
WAIT_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
COVERAGE = tuple(tenth / 10 for tenth in range(1, 11))
LAG_UNITS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """What `/metrics` shows. A registry of its own, so that two servers in one test process do not collide."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        Info("proactivellm_build", "Version of the server", registry=registry).info({"version": version("proactivellm")})
        self.ready = Gauge("proactivellm_ready", "1 if the models are loaded and the device ticks, else 0", registry=registry)
        self.connections = Gauge("proactivellm_connections", "Open sockets", registry=registry)
        self.errors = Counter("proactivellm_errors", "Error events sent, by code", ["code"], registry=registry)
        for code in CLOSE_CODES:  # a series that begins with its first error has no rate
            self.errors.labels(code)
        self.limits = Counter(
            "proactivellm_limits", "Limits that were met, and whether the key's or the server's", ["limit", "of"], registry=registry
        )
        self._add_ticks(registry)
        self._add_sessions(registry)
        self._add_mishaps(registry)
        self._add_latencies(registry)

    def _add_ticks(self, registry: CollectorRegistry) -> None:
        self.slots = Gauge("proactivellm_slots", "KV slots", ["model"], registry=registry)
        self.ticks = Histogram("proactivellm_tick_seconds", "Time of one forward pass", ["model"], buckets=TICK_SECONDS, registry=registry)
        self.tick_sessions = Histogram(
            "proactivellm_tick_sessions", "Sessions that took part in a tick", ["model"], buckets=TICK_SESSIONS, registry=registry
        )
        self.tick_tokens = Histogram(
            "proactivellm_tick_tokens", "Source tokens and probes of a tick", ["model"], buckets=TICK_TOKENS, registry=registry
        )
        self.decisions = Counter(
            "proactivellm_decisions",
            "Decisions by head and action: read, write, or forced_write (source end, max_lag, max_reads)",
            ["model", "head", "action"],
            registry=registry,
        )

    def _add_sessions(self, registry: CollectorRegistry) -> None:
        self.sessions = Gauge("proactivellm_sessions", "Sessions that hold a slot", ["model"], registry=registry)
        self.written = Counter("proactivellm_target_tokens", "Target tokens written", ["model"], registry=registry)
        self.reads = Counter("proactivellm_reads", "Decisions to read, and appends without a decision", ["model"], registry=registry)
        self.done = Counter("proactivellm_sessions_done", "Sessions ended, by reason", ["model", "reason"], registry=registry)
        self.refusals = Counter("proactivellm_refusals", "Sessions that the worker refused to open, by code", ["code"], registry=registry)
        self.refusals.labels("no_capacity")
        self.coverage = Histogram(
            "proactivellm_read_coverage",
            "RCO of whole sessions: share of the source read, averaged over the target's tokens",
            ["model", "head"],
            buckets=COVERAGE,
            registry=registry,
        )
        self.interaction_lag = Histogram(
            "proactivellm_interaction_lag_units",
            "AIL of whole sessions, in units of the source (words)",
            ["model", "head"],
            buckets=LAG_UNITS,
            registry=registry,
        )
        self.recording_lines_lost = Counter(
            "proactivellm_recording_lines_lost", "Lines of recordings that were lost: the disk is slow, full or broken", registry=registry
        )
        self.recorded = Gauge("proactivellm_recorded_bytes", "Bytes that recordings take on disk", registry=registry)

    def _add_mishaps(self, registry: CollectorRegistry) -> None:
        self.restarts = Counter(
            "proactivellm_worker_restarts", "Times the device's thread was begun again after a failure", registry=registry
        )
        self.stalls = Counter("proactivellm_worker_stalls", "Times the watchdog found the device's thread stuck", registry=registry)
        self.parked = Gauge("proactivellm_parked", "Conversations whose connection broke and that may be resumed", registry=registry)
        self.resumes = Counter(
            "proactivellm_resumes", "What became of broken connections: resumed, refused, expired, not_kept", ["outcome"], registry=registry
        )
        for outcome in ("resumed", "refused", "expired", "not_kept"):
            self.resumes.labels(outcome)
        self.stride = Gauge("proactivellm_stride", "Units between two decisions of sessions that allow it", registry=registry)
        self.stride.set(1)
        self.refusing = Gauge("proactivellm_refusing", "1 while new sessions are refused for overload", registry=registry)

    def _add_latencies(self, registry: CollectorRegistry) -> None:
        self.queue_age = Gauge(
            "proactivellm_queue_age_seconds",
            "The longest that a session with unanswered source waits for anything to be read or written; 0 if none does",
            registry=registry,
        )
        self.first_write = Histogram(
            "proactivellm_first_write_seconds",
            "From the first source message to the first write",
            ["model"],
            buckets=WAIT_SECONDS,
            registry=registry,
        )
        self.lag = Histogram(
            "proactivellm_lag_seconds",
            "From a source message to each write that answers it",
            ["model"],
            buckets=WAIT_SECONDS,
            registry=registry,
        )
        self.final = Histogram(
            "proactivellm_final_seconds", "From the source end to done", ["model"], buckets=WAIT_SECONDS, registry=registry
        )


def head_label(name: str) -> str:
    """A head's name, or `other` for what no registry knows."""
    return name if name in known() else "other"
