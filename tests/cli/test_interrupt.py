"""An interrupt ends a command at once, whenever it comes."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from cli import interrupt


def test_the_result_is_that_of_the_coroutine_and_nothing_is_left_behind() -> None:
    async def act() -> int:
        await asyncio.sleep(0)
        return 3

    assert interrupt.run(act()) == 3
    assert signal.set_wakeup_fd(-1) == -1


@pytest.fixture
def unseen() -> Iterator[None]:
    """An interrupt in half a second that does not break the main thread's sleep, as none does that comes just before it."""

    def interrupted() -> None:
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupted)
    thread.start()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # so the thread gets it
    yield
    thread.join()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


@pytest.mark.usefixtures("unseen")
def test_an_interrupt_that_breaks_no_sleep_wakes_the_loop_up() -> None:
    async def act() -> None:
        await asyncio.sleep(5)

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        interrupt.run(act())
    assert time.monotonic() - begun < 4
