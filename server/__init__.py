"""Wire messages, connections, the worker thread that owns the device, the app. Knows no model."""
