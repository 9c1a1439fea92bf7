"""Keeps the memory that a training step frees for the next one. Knows the C library; no tensor and no configuration."""

import ctypes
import os

# Options of mallopt(3), glibc.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
NEVER, STEP = -1, 1 << 30


def keep_freed() -> bool:
    """From here on the process gives nothing back to the system that it frees.

    False where the C library is none that can be told so, or where GLIBC_TUNABLES says how it is to be: that stands.

    glibc returns every large block at once, and gets the next one page by page, each zeroed by the kernel: in float32 on two cores that is
    a sixth of a step (docs/log.md).
    """
    if "GLIBC_TUNABLES" in os.environ:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return all([mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, NEVER), mallopt(TOP_PAD, STEP)])
