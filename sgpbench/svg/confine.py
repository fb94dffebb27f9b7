"""Confines a worker process: no more memory than given, no network, no new processes, no files but the fonts.

Linux only, through the C library; no privilege is needed. Each step says whether it took hold, and ``is_confined``
tries what must now fail, so that the sandbox's level is observed, not assumed. Elsewhere, and on kernels without
Landlock (before 5.13) or seccomp, the level is ``partial``: limits and cleaning still hold.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import signal
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

try:
    import resource
except ImportError:
    _HAS_LIMITS = False
else:
    _HAS_LIMITS = True

__all__ = ["die_with_parent", "forbid_calls", "forbid_files", "is_confined", "limit_resources", "mapped_bytes"]

_LINUX = sys.platform == "linux"
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

_LANDLOCK_CREATE_RULESET, _LANDLOCK_ADD_RULE, _LANDLOCK_RESTRICT_SELF = 444, 445, 446
_LANDLOCK_READ = (1 << 2) | (1 << 3)  # files, folders
_LANDLOCK_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}  # by ABI version; 16 from version 5

_SECCOMP_SET_MODE_FILTER, _SECCOMP_FILTER_FLAG_TSYNC = 1, 1
_SECCOMP_ALLOW, _SECCOMP_KILL, _SECCOMP_ERRNO = 0x7FFF0000, 0x80000000, 0x00050000

# System calls that a renderer never needs, by architecture: the number that the kernel gives to each.
_FORBIDDEN: dict[str, dict[str, int]] = {
    "x86_64": {
        "accept": 43, "accept4": 288, "add_key": 248, "bind": 49, "bpf": 321, "chmod": 90, "chown": 92, "chroot": 161,
        "clone": 56, "connect": 42, "execve": 59, "execveat": 322, "fchmod": 91, "fchmodat": 268, "fchown": 93,
        "fchownat": 260, "finit_module": 313, "fork": 57, "init_module": 175, "kexec_load": 246, "keyctl": 250,
        "kill": 62, "link": 86, "linkat": 265, "listen": 50, "memfd_create": 319, "mkdir": 83, "mkdirat": 258,
        "mknod": 133, "mknodat": 259, "mount": 165, "name_to_handle_at": 303, "open_by_handle_at": 304,
        "perf_event_open": 298, "personality": 135, "pivot_root": 155, "prlimit64": 302, "process_vm_readv": 310,
        "process_vm_writev": 311, "ptrace": 101, "recvfrom": 45, "recvmsg": 47, "rename": 82, "renameat": 264,
        "renameat2": 316, "request_key": 249, "rmdir": 84, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297,
        "sendmmsg": 307, "sendmsg": 46, "sendto": 44, "setns": 308, "setrlimit": 160, "shmget": 29, "socket": 41,
        "socketpair": 53, "symlink": 88, "symlinkat": 266, "tkill": 200, "truncate": 76, "umount2": 166, "unlink": 87,
        "unlinkat": 263, "unshare": 272, "userfaultfd": 323, "vfork": 58,
    },
    "aarch64": {
        "accept": 202, "accept4": 242, "add_key": 217, "bind": 200, "bpf": 280, "chroot": 51, "clone": 220,
        "connect": 203, "execve": 221, "execveat": 281, "fchmod": 52, "fchmodat": 53, "fchown": 55, "fchownat": 54,
        "finit_module": 273, "init_module": 105, "kexec_load": 104, "keyctl": 219, "kill": 129, "linkat": 37,
        "listen": 201, "memfd_create": 279, "mkdirat": 34, "mknodat": 33, "mount": 40, "name_to_handle_at": 264,
        "open_by_handle_at": 265, "perf_event_open": 241, "personality": 92, "pivot_root": 41, "prlimit64": 261,
        "process_vm_readv": 270, "process_vm_writev": 271, "ptrace": 117, "recvfrom": 207, "recvmsg": 212,
        "renameat": 38, "renameat2": 276, "request_key": 218, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240,
        "sendmmsg": 269, "sendmsg": 211, "sendto": 206, "setns": 268, "setrlimit": 164, "shmget": 194, "socket": 198,
        "socketpair": 199, "symlinkat": 36, "tkill": 130, "truncate": 45, "umount2": 39, "unlinkat": 35,
        "unshare": 97, "userfaultfd": 282,
    },
}  # fmt: skip
# The same number everywhere: pidfd_send_signal, io_uring_*, pidfd_open, clone3, pidfd_getfd.
_FORBIDDEN_EVERYWHERE = (424, 425, 426, 427, 434, 435, 438)
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}
_X32_BIT = 0x40000000


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
    """
    if not _HAS_LIMITS:
        return False
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    if address_space is not None:
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
    return True


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


def forbid_calls() -> bool:
    """Denies, in all threads, the system calls for network, processes, signals to others and changing files (seccomp).

    No thread can be started afterwards either. Says whether it holds.
    """
    machine = platform.machine()
    if not _LINUX or machine not in _FORBIDDEN:
        return False
    libc = _libc()
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        return False
    program = _filter(machine)
    instructions = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(instructions))
    result = libc.syscall(
        _SECCOMP_CALL[machine],
        ctypes.c_uint(_SECCOMP_SET_MODE_FILTER),
        ctypes.c_uint(_SECCOMP_FILTER_FLAG_TSYNC),
        header,
    )
    return bool(result == 0)


def _filter(machine: str) -> bytes:
    """The seccomp program (classic BPF): forbidden calls fail with EPERM, calls of a foreign architecture kill."""
    load, jump_equal, jump_at_least, give = 0x20, 0x15, 0x35, 0x06
    numbers = sorted({*_FORBIDDEN[machine].values(), *_FORBIDDEN_EVERYWHERE})
    deny = struct.pack("HBBI", give, 0, 0, _SECCOMP_ERRNO | errno.EPERM)
    code = [
        struct.pack("HBBI", load, 0, 0, 4),
        struct.pack("HBBI", jump_equal, 1, 0, _AUDIT_ARCH[machine]),
        struct.pack("HBBI", give, 0, 0, _SECCOMP_KILL),
        struct.pack("HBBI", load, 0, 0, 0),
    ]
    if machine == "x86_64":
        code += [struct.pack("HBBI", jump_at_least, 0, 1, _X32_BIT), deny]
    for number in numbers:
        code += [struct.pack("HBBI", jump_equal, 0, 1, number), deny]
    # A process may signal only itself (abort does).
    tgkill = {"x86_64": 234, "aarch64": 131}[machine]
    code += [
        struct.pack("HBBI", jump_equal, 0, 3, tgkill),
        struct.pack("HBBI", load, 0, 0, 16),
        struct.pack("HBBI", jump_equal, 1, 0, os.getpid()),
        deny,
        struct.pack("HBBI", give, 0, 0, _SECCOMP_ALLOW),
    ]
    return b"".join(code)


def is_confined(readable: Path) -> bool:
    """Whether a file outside ``readable`` cannot be opened, no socket made and no process started; one inside can."""
    return (
        _fails(lambda: os.close(os.open(sys.executable, os.O_RDONLY)))
        and _fails(lambda: os.close(os.open("/", os.O_RDONLY)))
        and _fails(lambda: socket.socket().close())
        and _fails(lambda: os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0))
        and not _fails(lambda: os.close(os.open(next(readable.glob("*.ttf")), os.O_RDONLY)))
    )


def _fails(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except OSError:
        return True
    return False
