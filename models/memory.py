"""Keep the allocator from handing memory back between training steps."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory for the next allocation; elsewhere this does nothing.

    A network's activations are large blocks that glibc maps and unmaps at every step, and the page faults cost more
    than the arithmetic: measured on two cores, the frozen trunk runs three times as fast with the memory kept.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # a libc without mallopt
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 512 * 1024**2)
