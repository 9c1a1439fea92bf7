"""Settings of every test run."""

import logging
from collections.abc import Iterator

import pytest
import structlog
import torch
from hypothesis import settings

# Tiny models gain nothing from threads, and lose a factor of ten to them wherever another process is busy.
torch.set_num_threads(1)

# A test that passed yesterday passes today; `pytest --hypothesis-profile default` draws other examples each time.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


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
