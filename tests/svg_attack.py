"""Code injected into a worker, as if a program had taken it over; ``injected`` makes the sandbox start such workers.

A program says in its first 200 characters what is to happen: ``attack="calls PATH"`` tries what must be denied, ``attack="frame
NAME"`` sends forged frames, ``attack="burn SECONDS"`` uses so much processor time before it draws, ``attack="sleep"`` never answers,
``attack="poison"`` lets everything fail from then on.
"""

# ruff: noqa: E501 - a table is clearer with wide rows

from __future__ import annotations

import ctypes
import errno
import json
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from svg_support import NS

START = (
    "import sys, json; sys.path[:] = [*json.loads(sys.argv[1]), {tests!r}]; import svg_attack; "
    "from sgpbench.svg import worker; svg_attack.install(worker); sys.exit(worker.main())"
)
_AT_FDCWD = -100
_ORDER = re.compile(r'attack="(\w+) ?([^"]*)"')


def injected() -> str:
    """What a worker is to be started with."""
    return START.format(tests=str(Path(__file__).parent))


def attack(order: str) -> str:
    return f'<svg {NS} attack="{order}" viewBox="0 0 8 8"><rect width="4" height="8"/></svg>'


def install(worker: ModuleType) -> None:
    """Puts the attacks in front of the worker's own work."""
    honest = worker._draw
    state = {"poisoned": False}

    def draw(program: str, renderer: object, repair: str, pipe: Any) -> Mapping[str, object]:
        found = _ORDER.search(program[:200]) if pipe is not None else None
        order, argument = found.groups() if found else ("", "")
        if order == "poison":
            state["poisoned"] = True
        if state["poisoned"] and pipe is not None:
            return {"outcome": "render_error", "message": "poisoned", "seconds": 0.0}
        if order == "calls":
            return {"outcome": "render_error", "message": try_calls(argument), "seconds": 0.0}
        if order == "frame":
            FORGED[argument](_Forger(pipe))
        if order == "burn":
            until = time.process_time() + float(argument)
            while time.process_time() < until:
                pass
        while order == "sleep":
            time.sleep(0.2)
        return honest(program, renderer, repair, pipe)

    worker._draw = draw


# --- system calls --------------------------------------------------------------------------------------------------------

# x86-64: number and arguments; "@" stands for a file outside, fd 1 is the worker's log, 0 the pipe from the main process.
DENIED: dict[str, tuple[object, ...]] = {
    "open": (2, "@", 0), "stat": (4, "@", 0), "lstat": (6, "@", 0), "ioctl": (16, 1, 0x5401, 0), "pwrite64": (18, 1, "x", 1, 0),
    "pipe": (22, 0), "shmget": (29, 1, 4096, 0o1666), "shmat": (30, 0, 0, 0), "shmctl": (31, 0, 0, 0), "dup": (32, 1),
    "dup2": (33, 1, 9), "alarm": (37, 0), "setitimer": (38, 0, 0, 0), "sendfile": (40, 1, 0, 0, 1), "socket": (41, 2, 1, 0),
    "connect": (42, 1, 0, 0), "accept": (43, 1, 0, 0), "sendto": (44, 1, "x", 1, 0, 0, 0), "recvfrom": (45, 0, 0, 0, 0, 0, 0),
    "sendmsg": (46, 1, 0, 0), "recvmsg": (47, 0, 0, 0), "bind": (49, 1, 0, 0), "listen": (50, 1, 1), "socketpair": (53, 1, 1, 0, 0),
    "execve": (59, "@", 0, 0), "wait4": (61, -1, 0, 1, 0), "kill": (62, 0, 0), "semget": (64, 1, 1, 0o1666), "semop": (65, 0, 0, 0),
    "semctl": (66, 0, 0, 0), "msgget": (68, 1, 0o1666), "msgsnd": (69, 0, 0, 0, 0), "msgctl": (71, 0, 0, 0),
    "fcntl F_DUPFD": (72, 1, 0, 0), "fcntl F_SETFL": (72, 1, 4, 0), "fcntl F_SETLK": (72, 1, 6, 0),
    "fcntl F_SETOWN": (72, 0, 8, 1), "fcntl F_SETSIG": (72, 0, 10, 9), "fcntl F_SETOWN_EX": (72, 0, 15, 0),
    "fcntl F_SETLEASE": (72, 1, 1024, 0), "fcntl F_NOTIFY": (72, 1, 1026, 1), "fcntl F_SETPIPE_SZ": (72, 0, 1031, 4096),
    "flock": (73, 1, 1), "truncate": (76, "@", 0), "ftruncate": (77, 1, 0), "chdir": (80, "/"), "fchdir": (81, 0),
    "rename": (82, "@", "/x"), "mkdir": (83, "/x", 0o777), "rmdir": (84, "/x"), "creat": (85, "/x", 0o777), "link": (86, "@", "/x"),
    "unlink": (87, "@"), "symlink": (88, "@", "/x"), "readlink": (89, "/proc/self/exe", 0, 0), "chmod": (90, "@", 0o777),
    "fchmod": (91, 1, 0o777), "chown": (92, "@", 0, 0), "fchown": (93, 1, 0, 0), "lchown": (94, "@", 0, 0), "umask": (95, 0),
    "ptrace": (101, 16, 1, 0, 0), "syslog": (103, 10, 0, 0), "setuid": (105, 0), "setgid": (106, 0), "setpgid": (109, 0, 0),
    "setsid": (112,), "setgroups": (116, 0, 0), "setresuid": (117, 0, 0, 0), "capset": (126, 0, 0), "utime": (132, "@", 0),
    "mknod": (133, "/x", 0o10666, 0), "personality": (135, 0xFFFFFFFF), "statfs": (137, "/", 0), "setpriority": (141, 0, 0, 5),
    "sched_setscheduler": (144, 0, 0, 0), "mlockall": (151, 1), "pivot_root": (155, "/", "/"), "prctl": (157, 15, "x", 0, 0, 0),
    "setrlimit": (160, 7, 0), "chroot": (161, "/"), "mount": (165, "x", "/", "tmpfs", 0, 0), "umount2": (166, "/", 2),
    "sethostname": (170, "x", 1), "setdomainname": (171, "x", 1), "init_module": (175, 0, 0, 0), "setxattr": (188, "@", "user.x", "x", 1, 0),
    "lsetxattr": (189, "@", "user.x", "x", 1, 0), "fsetxattr": (190, 1, "user.x", "x", 1, 0), "getxattr": (191, "@", "user.x", 0, 0),
    "listxattr": (194, "@", 0, 0), "removexattr": (197, "@", "user.x"), "tkill": (200, 1, 0), "sched_setaffinity": (203, 0, 8, 0),
    "io_setup": (206, 1, 0), "epoll_create": (213, 1), "timer_create": (222, 0, 0, 0), "clock_settime": (227, 0, 0),
    "tgkill another": (234, 1, 1, 0), "utimes": (235, "@", 0), "mq_open": (240, "x", 0o102, 0o666, 0), "kexec_load": (246, 0, 0, 0, 0),
    "add_key": (248, "user", "x", "x", 1, -4), "request_key": (249, "user", "x", 0, 0), "keyctl": (250, 0, -4, 1),
    "inotify_init": (253,), "openat O_WRONLY": (257, _AT_FDCWD, "@", 1, 0), "openat O_CREAT": (257, _AT_FDCWD, "/x", 0o100, 0o666),
    "openat O_PATH": (257, _AT_FDCWD, "@", 0o10000000, 0), "openat O_TMPFILE": (257, _AT_FDCWD, "/", 0o20200002, 0o666),
    "mkdirat": (258, _AT_FDCWD, "/x", 0o777), "mknodat": (259, _AT_FDCWD, "/x", 0o10666, 0), "fchownat": (260, _AT_FDCWD, "@", 0, 0, 0),
    "newfstatat by name": (262, _AT_FDCWD, "@", 0, 0), "unlinkat": (263, _AT_FDCWD, "@", 0), "renameat": (264, _AT_FDCWD, "@", _AT_FDCWD, "/x"),
    "linkat": (265, _AT_FDCWD, "@", _AT_FDCWD, "/x", 0), "symlinkat": (266, "@", _AT_FDCWD, "/x"), "readlinkat": (267, _AT_FDCWD, "@", 0, 0),
    "fchmodat": (268, _AT_FDCWD, "@", 0o777), "unshare": (272, 0x10000000), "splice": (275, 0, 0, 1, 0, 1, 2),
    "utimensat": (280, _AT_FDCWD, "@", 0, 0), "timerfd_create": (283, 0, 0), "eventfd": (284, 0), "fallocate": (285, 1, 0, 0, 1),
    "dup3": (292, 1, 9, 0), "pipe2": (293, 0, 0), "rt_sigqueueinfo": (129, 1, 0, 0), "rt_tgsigqueueinfo": (297, 1, 1, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0), "prlimit64": (302, 0, 7, 0, 0), "name_to_handle_at": (303, _AT_FDCWD, "@", 0, 0, 0),
    "open_by_handle_at": (304, 0, 0, 0), "setns": (308, 0, 0), "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "process_vm_writev": (311, 1, 0, 0, 0, 0, 0), "finit_module": (313, 0, "", 0), "renameat2": (316, _AT_FDCWD, "@", _AT_FDCWD, "/x", 0),
    "seccomp": (317, 2, 0, 0), "memfd_create": (319, "x", 0), "bpf": (321, 0, 0, 0), "execveat": (322, _AT_FDCWD, "@", 0, 0, 0),
    "userfaultfd": (323, 0), "copy_file_range": (326, 0, 0, 1, 0, 1, 0), "statx by name": (332, _AT_FDCWD, "@", 0, 0x7FF, 0),
    "pidfd_send_signal": (424, 1, 0, 0, 0), "io_uring_setup": (425, 1, 0), "open_tree": (428, _AT_FDCWD, "/", 0), "fsopen": (430, "tmpfs", 0),
    "pidfd_open": (434, 1, 0), "openat2": (437, _AT_FDCWD, "@", 0, 24), "pidfd_getfd": (438, 0, 0, 0), "faccessat2": (439, _AT_FDCWD, "@", 0, 0),
    "process_madvise": (440, 0, 0, 0, 0, 0), "mount_setattr": (442, _AT_FDCWD, "/", 0, 0, 0), "landlock_create_ruleset": (444, 0, 0, 1),
    "memfd_secret": (447, 0), "fchmodat2": (452, _AT_FDCWD, "@", 0o777, 0), "setxattrat": (463, _AT_FDCWD, "@", 0, "user.x", 0, 0),
    "clone": (56, 17, 0, 0, 0, 0), "fork": (57,), "vfork": (58,), "clone3": (435, 0, 0), "x32 getpid": (0x40000000 + 39,),
}  # fmt: skip
# Calls that are allowed, but must find nothing.
UNSEEN: dict[str, tuple[object, ...]] = {
    "openat": (257, _AT_FDCWD, "@", 0, 0),
    "access": (21, "@", 0),
    "statx past an empty path": (332, _AT_FDCWD, "@", 0x1000, 0x7FF, "buffer"),
    "newfstatat past an empty path": (262, _AT_FDCWD, "@", "buffer", 0x1000),
    "openat through a parent": (257, _AT_FDCWD, "../../../../../../../..@", 0, 0),
    "openat of a device": (257, _AT_FDCWD, "/dev/null", 0, 0),
    "openat of a process": (257, _AT_FDCWD, "/proc/self/environ", 0, 0),
}


def try_calls(outside: str) -> str:
    """Which calls got through, of how many."""
    libc = ctypes.CDLL(None, use_errno=True)
    through = [f"{name}" for name, call in DENIED.items() if _errno(libc, call, outside) != errno.EPERM]
    seen = [
        name
        for name, call in UNSEEN.items()
        if _errno(libc, call, outside) not in (errno.ENOENT, errno.EACCES, errno.EPERM)
    ]
    return json.dumps([len(DENIED) + len(UNSEEN), through, seen])


def _errno(libc: ctypes.CDLL, call: tuple[object, ...], outside: str) -> int:
    """What a call fails with; 0 if it does not."""
    values: list[object] = []
    for argument in call:
        if isinstance(argument, str):
            text = argument.replace("@", outside).encode()
            values.append(
                ctypes.create_string_buffer(256) if argument == "buffer" else ctypes.create_string_buffer(text)
            )
        else:
            values.append(ctypes.c_long(int(str(argument))))
    ctypes.set_errno(0)
    result = libc.syscall(*values)
    if call[0] in (56, 57, 58) and result == 0:
        os._exit(0)  # a child, should one ever be born
    return ctypes.get_errno() if result == -1 else 0


# --- frames --------------------------------------------------------------------------------------------------------------


class _Forger:
    """Sends whatever it likes to the main process, and then waits for its end."""

    def __init__(self, pipe: Any) -> None:
        self._descriptor = pipe._writer

    def send(self, kind: bytes, payload: bytes, length: int | None = None) -> None:
        view = memoryview(struct.pack("<cI", kind, len(payload) if length is None else length) + payload)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:
                continue

    def answer(self, **changes: object) -> None:
        honest = {"outcome": "ok", "message": None, "seconds": 0.1, "width": 8, "height": 8, "blank": False}
        self.send(b"R", json.dumps({**honest, **changes}).encode())
        self.rest()

    def cleaned(self, **changes: object) -> None:
        from sgpbench.svg.structure import MEASURES

        honest = {"program": "<svg/>", "flags": [], "structure": dict.fromkeys(MEASURES, 1.0)}
        self.send(b"C", json.dumps({**honest, **changes}).encode())

    def rest(self) -> None:
        while True:
            time.sleep(0.2)


def forged_png(width: int = 8, height: int = 8, rows: bytes | None = None, extra: bytes = b"") -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes((3 * width + 1) * height) if rows is None else rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _picture(forger: _Forger, picture: bytes, **changes: object) -> None:
    forger.cleaned()
    forger.send(b"P", picture)
    forger.answer(**changes)


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(%pipe%touch /tmp/sgpbench-escaped) (w) file\n%%EOF\n"
FORGED: dict[str, Callable[[_Forger], None]] = {
    "an unknown letter": lambda f: (f.send(b"Z", b""), f.rest()),
    "a greeting": lambda f: (f.send(b"H", b"{}"), f.rest()),
    "a program": lambda f: (f.send(b"D", b"<svg/>"), f.rest()),
    "a second start": lambda f: (f.send(b"S", b""), f.rest()),
    "the longest length": lambda f: (f.send(b"R", b"", 0xFFFFFFFF), f.rest()),
    "pictures before the program": lambda f: (f.send(b"P", forged_png()), f.cleaned(), f.answer()),
    "two pictures": lambda f: (f.cleaned(), f.send(b"P", forged_png()), f.send(b"P", forged_png()), f.answer()),
    "no JSON": lambda f: (f.send(b"R", b"\xff{"), f.rest()),
    "a list": lambda f: (f.send(b"R", b"[]"), f.rest()),
    "brackets without end": lambda f: (f.send(b"R", b"[" * 60_000), f.rest()),
    "ok without a picture": lambda f: f.answer(),
    "an outcome of ours": lambda f: f.answer(outcome="api_error", message="x"),
    "a list for an outcome": lambda f: f.answer(outcome=[]),
    "a number beyond all": lambda f: (f.send(b"R", b'{"outcome":"ok","seconds":' + b"9" * 5000 + b"}"), f.rest()),
    "infinite seconds": lambda f: (f.send(b"R", b'{"outcome":"ok","seconds":Infinity}'), f.rest()),
    "a message that is none": lambda f: f.answer(outcome="render_error", message={"a": 1}),
    "PostScript": lambda f: _picture(f, EPS),
    "PostScript behind a PNG's head": lambda f: _picture(f, forged_png()[:33] + EPS),
    "a picture that says it is huge": lambda f: _picture(
        f, forged_png(60_000, 60_000, b""), width=60_000, height=60_000
    ),
    "a picture with too many rows": lambda f: _picture(f, forged_png(rows=bytes(25 * 9))),
    "a picture with too few rows": lambda f: _picture(f, forged_png(rows=bytes(25 * 7))),
    "a filter that does not exist": lambda f: _picture(f, forged_png(rows=b"\x09" * 200)),
    "a picture cut off": lambda f: _picture(f, forged_png()[:-20]),
    "a picture with a text in it": lambda f: _picture(
        f, forged_png(extra=struct.pack(">I", 4) + b"tEXta\0bc" + b"\0" * 4)
    ),
    "another size than it has": lambda f: _picture(f, forged_png(), width=9),
    "a flag that does not exist": lambda f: (f.cleaned(flags=["x"]), f.send(b"P", forged_png()), f.answer()),
    "a measure that is no number": lambda f: (
        f.cleaned(structure={"a": float("nan")}),
        f.send(b"P", forged_png()),
        f.answer(),
    ),
    "surrogates": lambda f: (f.cleaned(program="\ud800"), f.send(b"P", forged_png()), f.answer()),
    "the end of the pipe": lambda f: os._exit(0),
}
