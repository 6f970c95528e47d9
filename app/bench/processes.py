"""What processes of this machine have used so far, read from /proc: CPU seconds and peak memory. Linux only.

Elsewhere the figures are missing (None), never made up.
"""

import os
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes and of their children that have ended."""
    return sum(_ticks(pid) for pid in pids) / _TICKS


def peak_memory_mib(pids: Iterable[int]) -> float | None:
    """The largest resident memory that one of these processes has had."""
    peaks = [peak for pid in pids if (peak := _peak(pid)) is not None]
    return max(peaks) if peaks else None


def _fields(pid: int) -> list[str]:
    # The name of the program stands in brackets and may hold anything.
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _ticks(pid: int) -> int:
    try:
        fields = _fields(pid)
    except OSError:
        return 0
    return sum(int(one) for one in fields[11:15])


def _peak(pid: int) -> float | None:
    try:
        lines = (_PROC / str(pid) / "status").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) / 1024 if found else None
