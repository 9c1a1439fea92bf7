"""Settings of every test run."""

import logging
from collections.abc import Iterator

import pytest
import structlog
import torch

# Tiny models gain nothing from threads, and lose a factor of ten to them wherever another process is busy.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _logs_of_one_test_are_not_the_next_ones() -> Iterator[None]:
    """A server that a test starts in this process writes to the test's own standard error, which is closed after it."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
