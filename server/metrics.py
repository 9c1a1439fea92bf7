"""Prometheus metrics of the server, one registry a process. Knows names and units; counts nothing itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """What `/metrics` shows. A registry of its own, so that two servers in one test process do not collide."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sessions = Gauge("proactivellm_sessions", "Sessions that hold a slot", ["model"], registry=self.registry)
        self.slots = Gauge("proactivellm_slots", "KV slots", ["model"], registry=self.registry)
        self.connections = Gauge("proactivellm_connections", "Open sockets", registry=self.registry)
        self.ticks = Histogram(
            "proactivellm_tick_seconds",
            "Time of one forward pass",
            ["model"],
            buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5),
            registry=self.registry,
        )
        self.written = Counter("proactivellm_target_tokens", "Target tokens written", ["model"], registry=self.registry)
        self.reads = Counter("proactivellm_reads", "Decisions to read, and appends without a decision", ["model"], registry=self.registry)
        self.done = Counter("proactivellm_sessions_done", "Sessions ended, by reason", ["model", "reason"], registry=self.registry)
        self.errors = Counter("proactivellm_errors", "Error events sent, by code", ["code"], registry=self.registry)
