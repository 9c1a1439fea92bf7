"""Settings of every test run."""

import logging
import sys
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


def _log_beside_standard_output() -> None:
    """A server that still ends a session of the test before must not write between the lines that this test's command prints."""
    structlog.reset_defaults()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.__stderr__))


@pytest.fixture(autouse=True)
def _each_test_for_itself() -> Iterator[None]:
    """The same random numbers, alone or beside others; and no logging to a standard error that was the last test's and is closed."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    _log_beside_standard_output()
    torch.manual_seed(0)
    yield
    _log_beside_standard_output()
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
