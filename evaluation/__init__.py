"""Quality against latency: metrics, the runner that drives the real engine, calibration, reports. Knows engine and tasks; no socket."""
