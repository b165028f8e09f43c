"""What this process may use of the machine: cores and free memory."""

from __future__ import annotations

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")  # version 2; version 1 keeps memory in a folder of its own


def cores() -> int:
    """The cores this process may run on; a container or `taskset` may leave it fewer than the machine has."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, _quota() or count)


def _quota() -> int | None:
    """The cores whose time a container may use, rounded up; None where there is no such bound."""
    try:
        quota, period = (CGROUP / "cpu.max").read_text(encoding="ascii").split()
        return max(math.ceil(int(quota) / int(period)), 1)
    except (OSError, ValueError):  # not in a container of version 2, or one without a bound ("max")
        return None


def free_memory() -> int | None:
    """Bytes that may still be taken: what the system has, and what a container leaves of it; None where neither can be read."""
    free = [amount for amount in (_available(), _left_in_container()) if amount is not None]
    return min(free, default=None)


def _available() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2  # what is free is not said: half of all
    except (AttributeError, OSError, ValueError):
        return None


def _left_in_container() -> int | None:
    for folder, limit, used in (
        (CGROUP, "memory.max", "memory.current"),
        (CGROUP / "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        try:
            bound, taken = (int((folder / name).read_text(encoding="ascii")) for name in (limit, used))
            facts = dict(line.split() for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines())
            return bound - taken + int(facts.get("inactive_file", 0))  # files in the cache give way when memory is asked for
        except (OSError, ValueError):  # not in a container, or one without a limit ("max")
            continue
    return None
