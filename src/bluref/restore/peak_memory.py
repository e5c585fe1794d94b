"""The most memory that this process has held."""

import sys


def peak_memory_bytes() -> int:
    """Peak of the resident set since the process began, in bytes; 0 where nobody counts it."""
    try:
        import resource
    except ModuleNotFoundError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
