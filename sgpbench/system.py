"""What this operating system offers, and what to say where it does not.

sgpbench runs on Linux and, with a sandbox that confines less, on macOS. Elsewhere everything that only reads (catalog,
tasks, results, leaderboard) works; what draws or keeps a run says in one line what is missing and which way remains.
"""

from __future__ import annotations

import ctypes
import importlib.util
import math
import os
import platform
import sys
from pathlib import Path

from sgpbench.errors import RendererError, StoreError

try:
    import fcntl
except ImportError:
    _HAS_LOCKS = False
else:
    _HAS_LOCKS = True

__all__ = ["available_cores", "lock_exclusively", "missing_confinements", "require_workers"]

_POSIX = os.name == "posix"
_REMEDY = "Use Linux or macOS; on Windows use WSL (https://aka.ms/wsl), where all of it works."
_LANDLOCK_CREATE_RULESET, _LANDLOCK_CREATE_RULESET_VERSION = 444, 1
_SECCOMP_GET_ACTION_AVAIL = 2
_SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}
_SECCOMP_RET_ERRNO = 0x00050000


def lock_exclusively(handle: int) -> None:
    """Locks an open file against other processes, until it is closed.

    Raises:
        BlockingIOError: another process holds it.
        StoreError: this Python cannot lock files.
    """
    if not _HAS_LOCKS:
        raise StoreError(
            "This Python has no module fcntl, with which a folder is held against other processes.", remedy=_REMEDY
        )
    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def require_workers() -> None:
    """Makes sure that drawings can be made in processes of their own.

    Raises:
        RendererError: the system is none of those that sgpbench's workers run on.
    """
    if not _POSIX:
        raise RendererError(f"Drawings cannot be made safely on {platform.system()}.", remedy=_REMEDY)


def available_cores(*, cgroups: str = "/proc/self/cgroup", mounts: Path = Path("/sys/fs/cgroup")) -> int:
    """The cores that this process may use: its affinity, and no more than its control groups' quota, rounded up; at least 1.

    ``os.cpu_count`` would count what a container or a batch system gave to others.
    """
    if hasattr(os, "process_cpu_count"):
        cores = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):
        cores = len(os.sched_getaffinity(0))
    else:
        cores = os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _quota(cgroups, mounts))))


def _quota(cgroups: str, mounts: Path) -> float:
    """The least number of cores that any control group above this process allows; ``inf`` without one (versions 1 and 2)."""
    try:
        groups = [line.split(":", 2) for line in Path(cgroups).read_text("utf-8").splitlines()]
    except OSError:
        return math.inf
    least = math.inf
    for _, controllers, group in (parts for parts in groups if len(parts) == 3):
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In a container the group's path may be the host's, and its own group the root of what is mounted.
        for root in (mounts / controllers, mounts / "cpu") if controllers else (mounts, mounts / "unified"):
            folder = root / group.strip("/")
            least = min(least, *(_allowed(one) for one in (folder, *folder.parents) if one.is_relative_to(root)))
    return least


def _allowed(folder: Path) -> float:
    try:
        if (folder / "cpu.max").is_file():
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text("ascii").strip()
            period = (folder / "cpu.cfs_period_us").read_text("ascii").strip()
        return math.inf if quota in ("max", "-1") else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return math.inf


def missing_confinements() -> tuple[str, ...]:
    """What this machine lacks for the sandbox's level ``full``, in words; empty where nothing is known to be lacking.

    Only asks the kernel; confines nothing.
    """
    missing = [] if importlib.util.find_spec("resource") else ["the module resource (limits of memory)"]
    if sys.platform != "linux":
        return (*missing, "Landlock and seccomp, which only Linux has")
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(
        _LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_LANDLOCK_CREATE_RULESET_VERSION)
    )
    if version < 1:
        missing.append("Landlock (Linux 5.13 or newer, enabled)")
    machine = platform.machine()
    if machine not in _SECCOMP_CALL:
        missing.append(f"a list of system calls for {machine}")
        return tuple(missing)
    action = ctypes.c_uint32(_SECCOMP_RET_ERRNO)
    if libc.syscall(
        _SECCOMP_CALL[machine], ctypes.c_uint(_SECCOMP_GET_ACTION_AVAIL), ctypes.c_uint(0), ctypes.byref(action)
    ):
        missing.append("seccomp filters")
    return tuple(missing)
