"""What a sandbox and its workers say to each other over a pair of pipes.

A frame is one letter, a length and that many bytes. To a worker: a program in UTF-8. From a worker: ``H`` once when it is
ready (JSON), or ``E`` when it cannot be; then per program ``S`` when it has read all of it, ``C`` when the program is
parsed and cleaned (JSON), ``P`` and ``T`` with the pictures, and ``R`` with what became of it (JSON), in this order.
Nothing is ever unpickled, a receiver says which letters it expects and how many bytes they may have, and what they say is
checked: a worker that has been taken over can send wrong pictures, and no more.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable, Mapping

__all__ = ["ANSWERS", "GREETINGS", "LONGEST_ANSWER", "PROGRAM", "FrameError", "Pipe"]

_MIB = 1 << 20
PROGRAM: Mapping[bytes, int] = {b"D": 64 * _MIB}
"""The letter of a program, and the most bytes of it."""
GREETINGS: Mapping[bytes, int] = {b"H": 64 * 1024, b"E": 64 * 1024}
"""What a worker says first, and the most bytes of it."""
ANSWERS: Mapping[bytes, int] = {b"S": 0, b"C": 128 * _MIB, b"P": 256 * _MIB, b"T": 256 * _MIB, b"R": 64 * 1024}
"""What comes back for one program, each at most once and in this order, and the most bytes of each."""
LONGEST_ANSWER = 320 * _MIB
"""Most bytes of all frames that come back for one program."""
_HEADER = struct.Struct("<cI")
_CHUNK = 1 << 20


class FrameError(Exception):
    """The other side is ``gone``, has not answered in time (``timed_out``), or, if neither, speaks nonsense."""

    def __init__(self, message: str, *, timed_out: bool = False, gone: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out
        self.gone = gone


class Pipe:
    """Sends and receives frames; the sandbox's side says how long it waits, and must never wait forever.

    ``waiting`` gives the seconds to wait before it is asked again, or raises ``FrameError``; without it, it waits on.
    """

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = reader
        self._writer = writer
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)

    def send(self, kind: bytes, payload: bytes, waiting: Callable[[], float] | None = None) -> None:
        """Sends one frame.

        Raises:
            FrameError: the other side is gone or does not read in time.
        """
        self._write(_HEADER.pack(kind, len(payload)), waiting)
        self._write(payload, waiting)

    def receive(self, expected: Mapping[bytes, int], waiting: Callable[[], float] | None = None) -> tuple[bytes, bytes]:
        """The next frame's letter, one of those expected, and its bytes, no more than expected.

        Raises:
            FrameError: the other side is gone, or sends nonsense, or too late.
        """
        kind, length = _HEADER.unpack(self._read(_HEADER.size, waiting))
        if kind not in expected:
            raise FrameError(f"a frame {kind!r} that was not expected")
        if length > expected[kind]:
            raise FrameError(f"a frame {kind!r} of {length:,} bytes")
        return kind, self._read(length, waiting)

    def is_silent(self) -> bool:
        """Whether nothing waits to be read, not even the end."""
        poll = select.poll()
        poll.register(self._reader, select.POLLIN)
        return not poll.poll(0)

    def _write(self, data: bytes, waiting: Callable[[], float] | None) -> None:
        view = memoryview(data)
        while view:
            _wait(self._writer, select.POLLOUT, waiting)
            try:
                view = view[os.write(self._writer, view[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise FrameError(f"the other side is gone ({error.strerror})", gone=True) from None

    def _read(self, length: int, waiting: Callable[[], float] | None) -> bytes:
        pieces = bytearray()
        while len(pieces) < length:
            _wait(self._reader, select.POLLIN, waiting)
            try:
                piece = os.read(self._reader, min(length - len(pieces), _CHUNK))
            except BlockingIOError:
                continue
            except OSError as error:
                raise FrameError(f"the other side is gone ({error.strerror})", gone=True) from None
            if not piece:
                raise FrameError("the other side is gone", gone=True)
            pieces += piece
        return bytes(pieces)


def _wait(descriptor: int, events: int, waiting: Callable[[], float] | None) -> None:
    poll = select.poll()
    poll.register(descriptor, events)
    while not poll.poll(None if waiting is None else waiting() * 1000):
        pass
