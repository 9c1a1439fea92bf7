"""Keeps the memory that a training step frees for the next one. Knows the C library; no tensor and no configuration."""

import ctypes

# Options of mallopt(3), glibc.
TRIM_THRESHOLD, TOP_PAD, MMAP_MAX = -1, -2, -4
NEVER, STEP = -1, 1 << 30


def keep_freed() -> bool:
    """From here on the process gives nothing back to the system that it frees. False where the C library is none that can be told so.

    glibc returns every large block at once, and gets the next one page by page, each zeroed by the kernel: in float32 on two cores that is
    a sixth of a step (docs/log.md). The environment's GLIBC_TUNABLES do the same, and would have to be set by whoever starts a training.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl, macOS, Windows
        return False
    return all([mallopt(MMAP_MAX, 0), mallopt(TRIM_THRESHOLD, NEVER), mallopt(TOP_PAD, STEP)])
