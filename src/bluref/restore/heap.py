"""Memory that is used again instead of being given back after every layer.

glibc returns large blocks to the system as soon as they are free, and the system clears each page
before it lends it again. A network on a CPU frees a feature map per operation: keeping them makes
eager inference 1.4 to 1.7 times as fast.
"""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # of mallopt(3)
_NEVER = 2**31 - 1


def keep_freed_memory() -> bool:
    """Tell this process's allocator to keep what is freed; for programs, not for libraries.

    The process then holds its peak until it ends.

    Returns:
        whether that was possible: it needs glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, _NEVER))
