"""Load on a running server: paced clients, what they waited, and a soak with faults. Knows the client package; knows no engine."""
