"""How much memory there is, how much of it may be used, and how it is given back.

A budget is the resident memory of this whole process at its peak: interpreter, torch, weights,
pictures and all.
"""

import ctypes
import os
import re
from math import inf
from pathlib import Path

import psutil
import torch

from bluref.errors import UserError

MIB = 2**20
MOST_BY_DEFAULT = 8 * 2**30
"""Bytes; larger tiles would hardly be faster or truer."""

_UNITS = {
    "": 1, "b": 1,
    "k": 10**3, "kb": 10**3, "m": 10**6, "mb": 10**6, "g": 10**9, "gb": 10**9,
    "t": 10**12, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip
_SIZE = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)\s*")
# Version 2 and version 1 of control groups.
_LIMITS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def parse_bytes(text: str) -> int:
    """Bytes of a size like 2GiB (2^30), 2GB (10^9), 512 MiB or 1.5g.

    Raises:
        UserError: no number, an unknown unit, less than one byte or more than floats can tell.
    """
    found = _SIZE.fullmatch(text)
    unit = found.group(2).lower() if found else ""
    size = float(found[1]) * _UNITS.get(unit, 0) if found else 0
    if not 1 <= size < inf:
        raise UserError(f"{text[:40]!r} is no size of memory", "give one like 2GiB or 512MiB")
    return int(size)


def told_bytes(size: int) -> str:
    """A size as people and `parse_bytes` read it, rounded up to whole MiB."""
    return f"{-(-size // MIB)}MiB"


def default_budget(*, most: int = MOST_BY_DEFAULT) -> int:
    """What this process holds already and half of what is free.

    Free is what the machine can give without swapping and what its control group leaves.

    Args:
        most: bytes that are enough, unless more is held already.
    """
    free = int(psutil.virtual_memory().available)
    for limit, current in _LIMITS:
        allowed, used = _number(limit), _number(current)
        if allowed is not None and used is not None:
            free = min(free, max(0, allowed - used))
    held = resident()
    return max(held, min(most, held + free // 2))


def resident() -> int:
    """Bytes of physical memory that this process holds now."""
    return int(psutil.Process().memory_info().rss)


def give_back() -> None:
    """Return freed memory to the system, where the C library has a way to.

    That of GNU keeps what is freed in the middle of its heap, several times what is in use.
    """
    if _LIBC_TRIM is not None:
        _LIBC_TRIM(0)


def highest() -> int:
    """The most bytes that this process has held at a time since it began."""
    return max(_EARLIER[0], _mark())


class Peak:
    """How far memory grows beyond what is held now.

    Linux tells exactly, by a mark that is reset. Elsewhere the mark of the whole life of the
    process serves, and what stays below an earlier peak is not seen.
    """

    def __init__(self) -> None:
        _EARLIER[0] = highest()
        exact = _reset_mark()
        self._low = resident() if exact else max(resident(), _mark())

    def grown(self) -> int:
        """Bytes above what was held at the start."""
        return max(0, _mark() - self._low)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out; on a CPU torch tells so by a plain RuntimeError."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def _reset_mark() -> bool:
    try:
        Path("/proc/self/clear_refs").write_text("5", "ascii")
    except OSError:
        return False
    return True


def _mark() -> int:
    """The most bytes held since the mark was reset."""
    try:
        status = Path("/proc/self/status").read_text("ascii")
        return int(status.split("VmHWM:")[1].split()[0]) * 1024
    except (OSError, IndexError, ValueError):
        pass
    if os.name == "nt":
        return int(psutil.Process().memory_info().peak_wset)
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if psutil.MACOS else most * 1024


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text("ascii"))
    except (OSError, ValueError):  # not there, or "max"
        return None


def _trim_of_libc() -> "ctypes._NamedFuncPointer | None":
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, TypeError, AttributeError):
        return None


_LIBC_TRIM = _trim_of_libc()
_EARLIER = [0]  # the highest mark before it was last reset
