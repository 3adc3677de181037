"""The memory of this process, as the system counts it."""

import resource
import sys
from pathlib import Path

import psutil

_STATUS = Path("/proc/self/status")
_RESET = Path("/proc/self/clear_refs")


def resident_bytes() -> int:
    """Return how much of this process is in memory now."""
    return int(psutil.Process().memory_info().rss)


def forget_peak() -> None:
    """Reset the high-water mark where the system can (Linux); elsewhere it is that of the whole process."""
    if _RESET.exists():
        _RESET.write_text("5")


def peak_bytes() -> int:
    """Return the high-water mark of what was in memory."""
    if _STATUS.exists():
        (line,) = (line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
