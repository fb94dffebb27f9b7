"""Which system calls a confined worker may still make (seccomp), by architecture; every other one fails with EPERM.

An allow-list, so that calls which a later kernel brings are denied too. Where a call is harmless with some arguments only, its
arguments are looked at; seccomp sees numbers, not what pointers point at.
"""

from __future__ import annotations

import errno
import struct

__all__ = ["AUDIT_ARCH", "SECCOMP_CALL", "seccomp_program"]

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
SECCOMP_CALL = {"x86_64": 317, "aarch64": 277}

_ALLOW, _KILL, _DENY = 0x7FFF0000, 0x80000000, 0x00050000 | errno.EPERM
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _GIVE = 0x20, 0x15, 0x35, 0x45, 0x06
_X32_BIT = 0x40000000

# Memory, time, its own threads' waiting, reading and writing what is open already; and whether a file may be read, which
# fontconfig asks before it opens one (in a root of its own a worker finds no others).
_ALLOWED: dict[str, dict[str, int]] = {
    "x86_64": {
        "read": 0, "write": 1, "close": 3, "fstat": 5, "poll": 7, "lseek": 8, "mmap": 9, "mprotect": 10, "munmap": 11,
        "brk": 12, "rt_sigaction": 13, "rt_sigprocmask": 14, "rt_sigreturn": 15, "pread64": 17, "access": 21, "readv": 19,
        "writev": 20, "sched_yield": 24, "mremap": 25, "madvise": 28, "nanosleep": 35, "getpid": 39, "getcwd": 79, "exit": 60,
        "uname": 63, "gettimeofday": 96, "getrusage": 98, "sysinfo": 99, "times": 100, "sigaltstack": 131, "gettid": 186,
        "time": 201, "futex": 202, "sched_getaffinity": 204, "getdents64": 217, "restart_syscall": 219, "clock_gettime": 228,
        "clock_getres": 229, "clock_nanosleep": 230, "exit_group": 231, "ppoll": 271, "set_robust_list": 273,
        "getcpu": 309, "getrandom": 318, "membarrier": 324, "rseq": 334,
    },
    "aarch64": {
        "faccessat": 48, "read": 63, "write": 64, "close": 57, "fstat": 80, "lseek": 62, "mmap": 222, "mprotect": 226,
        "munmap": 215, "brk": 214, "rt_sigaction": 134, "rt_sigprocmask": 135, "rt_sigreturn": 139, "pread64": 67, "readv": 65,
        "writev": 66, "sched_yield": 124, "mremap": 216, "madvise": 233, "nanosleep": 101, "getpid": 172, "getcwd": 17,
        "exit": 93, "uname": 160, "gettimeofday": 169, "getrusage": 165, "sysinfo": 179, "times": 153, "sigaltstack": 132,
        "gettid": 178, "futex": 98, "sched_getaffinity": 123, "getdents64": 61, "restart_syscall": 128,
        "clock_gettime": 113, "clock_getres": 114, "clock_nanosleep": 115, "exit_group": 94, "ppoll": 73,
        "set_robust_list": 99, "getcpu": 168, "getrandom": 278, "membarrier": 283, "rseq": 293,
    },
}  # fmt: skip
_LOOKED_AT: dict[str, dict[str, int]] = {
    "x86_64": {"openat": 257, "newfstatat": 262, "statx": 332, "fcntl": 72, "tgkill": 234},
    "aarch64": {"openat": 56, "newfstatat": 79, "statx": 291, "fcntl": 25, "tgkill": 131},
}
# O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_ASYNC, O_PATH, O_TMPFILE: equal on both architectures.
_OPENS_FOR_MORE_THAN_READING = 0o1 | 0o2 | 0o100 | 0o1000 | 0o2000 | 0o20000 | 0o10000000 | 0o20000000
_AT_EMPTY_PATH = 0x1000
_F_GETFD, _F_GETFL = 1, 3
_SIGABRT = 6


def seccomp_program(machine: str, process: int) -> bytes:
    """The filter, in classic BPF.

    Args:
        machine: ``x86_64`` or ``aarch64``.
        process: the number of the process, which may signal itself alone (``abort`` does).
    """
    code = [
        _instruction(_LOAD, 4),
        _instruction(_EQUAL, AUDIT_ARCH[machine], 1, 0),
        _instruction(_GIVE, _KILL),
        _instruction(_LOAD, 0),
    ]
    if machine == "x86_64":
        code += [_instruction(_AT_LEAST, _X32_BIT, 0, 1), _instruction(_GIVE, _DENY)]
    for number in sorted(_ALLOWED[machine].values()):
        code += [_instruction(_EQUAL, number, 0, 1), _instruction(_GIVE, _ALLOW)]
    numbers = _LOOKED_AT[machine]
    code += _where(numbers["openat"], 2, [_instruction(_ANY_BIT, _OPENS_FOR_MORE_THAN_READING, 1, 0)])
    # Of an open file only; that the path is empty is for the file system's confinement to see to.
    code += _where(numbers["newfstatat"], 3, [_instruction(_ANY_BIT, _AT_EMPTY_PATH, 0, 1)])
    code += _where(numbers["statx"], 2, [_instruction(_ANY_BIT, _AT_EMPTY_PATH, 0, 1)])
    code += _where(numbers["fcntl"], 1, [_instruction(_EQUAL, _F_GETFD, 1, 0), _instruction(_EQUAL, _F_GETFL, 0, 1)])
    # Its own end and nothing else: one that stops itself would be waited for.
    own = [_instruction(_EQUAL, process, 0, 3), _instruction(_LOAD, 32), _instruction(_EQUAL, _SIGABRT, 0, 1)]
    code += _where(numbers["tgkill"], 0, own)
    code.append(_instruction(_GIVE, _DENY))
    return b"".join(code)


def _where(number: int, argument: int, tests: list[bytes]) -> list[bytes]:
    """Allows call ``number`` where the tests of its argument's lower half jump to the first instruction after them."""
    body = [_instruction(_LOAD, 16 + 8 * argument), *tests, _instruction(_GIVE, _ALLOW), _instruction(_GIVE, _DENY)]
    return [_instruction(_EQUAL, number, 0, len(body)), *body]


def _instruction(operation: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("HBBI", operation, if_true, if_false, value)
