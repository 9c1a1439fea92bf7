"""Running a command's coroutine so that an interrupt ends it at once. Knows asyncio and signals; no command."""

import asyncio
import signal
import socket
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

Result = TypeVar("Result")


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """As asyncio.run. Raises KeyboardInterrupt, and what `main` raises.

    An interrupt that comes just as asyncio's loop goes to sleep is noticed when the loop wakes up for something else, which may be
    never. Here it writes to a socket that the loop listens to.
    """
    return asyncio.run(main if sys.platform == "win32" else _woken(main))  # there it does so by itself


async def _woken(main: Coroutine[Any, Any, Result]) -> Result:
    loop = asyncio.get_running_loop()
    here, there = socket.socketpair()
    with here, there:
        here.setblocking(False)
        there.setblocking(False)
        loop.add_reader(here, here.recv, 4096)
        before = signal.set_wakeup_fd(there.fileno(), warn_on_full_buffer=False)
        try:
            return await main
        finally:
            signal.set_wakeup_fd(before)
            loop.remove_reader(here)
