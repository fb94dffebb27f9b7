"""Confines a worker process: no more memory than given, no network, no new processes, no files but the fonts, no privileges.

Linux only, through the C library. No privilege is needed, but one of two things is: to be root, or to be allowed a user
namespace; else a worker can still ask whether a file exists. Each step says whether it took hold, and ``is_confined``
tries what must now fail, so that the sandbox's level is observed, not assumed. Elsewhere, and on kernels without
Landlock (before 5.13) or seccomp, the level is ``partial``: limits and cleaning still hold.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from sgpbench.errors import RendererError
from sgpbench.svg.syscalls import SECCOMP_CALL, seccomp_program

try:
    import resource
except ImportError:
    _HAS_LIMITS = False
else:
    _HAS_LIMITS = True

__all__ = [
    "change_root",
    "die_with_parent",
    "enter_own_user_namespace",
    "forbid_calls",
    "forbid_files",
    "give_up_privileges",
    "is_confined",
    "limit_resources",
    "mapped_bytes",
]

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_READ = (1 << 2) | (1 << 3)  # files, folders
_LANDLOCK_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}  # by ABI version; 16 from version 5

_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1

_CLONE_NEWUSER = 0x10000000
_PR_CAPBSET_DROP, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 47, 4
_CAP_SYS_CHROOT = 18
_CAPABILITY_VERSION_3 = 0x20080522
# Nobody's: above what systems give to people and services, one for each process number.
_FIRST_OWN_USER = 1_700_000_000
_NOBODY = 65534


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Has the kernel kill this process when ``parent`` ends, however it ends; ends at once if it already did."""
    if not _LINUX:
        return
    _libc().prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def mapped_bytes() -> int | None:
    """The address space that this process has mapped; ``None`` where the system does not say."""
    if not _LINUX:
        return None
    return int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")


def limit_resources(address_space: int | None) -> bool:
    """No more than ``address_space`` bytes mapped, stacks included; no core dumps, few open files and small ones.

    Says whether it holds: it does not where this Python has no module ``resource``.

    Raises:
        RendererError: a limit that stands already leaves less than ``address_space``.
    """
    if not _HAS_LIMITS:
        return False
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_NOFILE, 64)
    _lower(resource.RLIMIT_FSIZE, 1 << 20)
    if address_space is not None and _lower(resource.RLIMIT_AS, address_space) < address_space:
        raise RendererError(
            f"The address space of processes is limited to less than the {address_space >> 20:,} MB that a worker needs.",
            remedy="Lift the limit, as whoever set it: ulimit -v unlimited",
        )
    return True


def _lower(limit: int, value: int) -> int:
    """Sets a limit to ``value``, or leaves a stricter one; says which holds."""
    _, hard = resource.getrlimit(limit)
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(limit, (value, value))
    return value


def forbid_files(readable: Path) -> bool:
    """Denies opening any file from now on, except for reading below ``readable`` (Landlock). Says whether it holds."""
    if not _LINUX:
        return False
    libc = _libc()
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1 or libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    handled = struct.pack("=Q", (1 << _LANDLOCK_ACCESS_BITS.get(version, 16)) - 1)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, handled, ctypes.c_size_t(len(handled)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    folder = os.open(readable, os.O_PATH | os.O_DIRECTORY)
    try:
        beneath = struct.pack("=Qi", _LANDLOCK_READ, folder)
        if libc.syscall(_LANDLOCK_ADD_RULE, ruleset, ctypes.c_int(1), beneath, ctypes.c_uint32(0)):
            return False
        return bool(libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(folder)
        os.close(ruleset)


def enter_own_user_namespace() -> None:
    """Gives a process that may not change its root a user namespace in which it may, where the system allows that.

    Must come before any thread is started.
    """
    if _LINUX and not _has_capability(_CAP_SYS_CHROOT):
        _libc().unshare(_CLONE_NEWUSER)


def _has_capability(number: int) -> bool:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("ascii", "replace").splitlines())
    return bool(int(status["CapEff"], 16) >> number & 1)


def change_root(folder: Path | str) -> bool:
    """Makes ``folder`` the root of the file system and the working folder. Says whether it holds."""
    if not _LINUX or _libc().chroot(os.fsencode(folder)):
        return False
    os.chdir("/")
    return True


def give_up_privileges(readable: Path) -> bool:
    """Drops every capability for good and, where root, becomes a user of its own. Says whether it holds.

    Root stays root, without any power, where ``readable`` is not readable to other users.
    """
    if not _LINUX:
        return False
    libc = _libc()
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    number = 0
    while libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) == 0:
        number += 1
    if os.geteuid() == 0 and _is_open_to_all(readable):
        _become(_FIRST_OWN_USER + os.getpid()) or _become(_NOBODY)
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    return bool(libc.capset(header, bytes(24)) == 0 and libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


def _is_open_to_all(folder: Path) -> bool:
    return folder.stat().st_mode & 0o5 == 0o5 and all(file.stat().st_mode & 0o4 for file in folder.iterdir())


def _become(user: int) -> bool:
    try:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError:
        return False  # a user namespace that does not know this user
    return True


def forbid_calls() -> bool:
    """Denies, in all threads, every system call but those of ``sgpbench.svg.syscalls`` (seccomp). Says whether it holds.

    No thread can be started afterwards.
    """
    machine = platform.machine()
    if not _LINUX or machine not in SECCOMP_CALL:
        return False
    libc = _libc()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    program = seccomp_program(machine, os.getpid())
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    result = libc.syscall(
        SECCOMP_CALL[machine],
        ctypes.c_uint(_SECCOMP_SET_MODE_FILTER),
        ctypes.c_uint(_SECCOMP_FILTER_FLAG_TSYNC),
        header,
    )
    return bool(result == 0)


def is_confined(readable: Path, outside: Path | str) -> bool:
    """Whether the files in ``readable`` can be read, ``outside`` is out of sight, and nothing can be made or started.

    Args:
        readable: the folder with the fonts.
        outside: a file that is there, beside it.
    """
    return (
        _fails(lambda: os.close(os.open(outside, os.O_RDONLY)))
        and _fails(lambda: os.close(os.open(outside, os.O_PATH)))
        and _fails(lambda: os.stat(outside))  # noqa: PTH116 - the call itself is meant
        and not os.access(outside, os.F_OK)
        and not _sees_past_its_root(outside)
        and _fails(lambda: socket.socket().close())
        and _fails(lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0))
        and not _fails(lambda: os.close(os.open(_first_font(readable), os.O_RDONLY)))
    )


def _sees_past_its_root(outside: Path | str) -> bool:
    """Whether a call that is allowed for open files (``statx``) finds a file by its name, too."""
    call = {"x86_64": 332, "aarch64": 291}.get(platform.machine())
    result = ctypes.create_string_buffer(256)
    return call is None or _libc().syscall(call, -100, os.fsencode(outside), 0x1000, 0x7FF, result) == 0


def _first_font(folder: Path) -> str:
    return str(folder / min(name for name in os.listdir(folder) if name.endswith(".ttf")))  # noqa: PTH208 - no stat


def _fails(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return True
    return False
