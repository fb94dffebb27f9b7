"""What a sandbox and its workers say to each other over a pair of pipes.

A frame is one letter, a length and that many bytes. To a worker: a program in UTF-8. From a worker: ``H`` once when it is
ready (JSON), or ``E`` when it cannot be; then per program ``S`` when it has read all of it, ``C`` when the program is
parsed and cleaned (JSON), ``R`` with what became of it (JSON), and before that ``P`` and ``T`` with the pictures.
Nothing is ever unpickled: a worker that has been taken over can send wrong pictures, and no more.
"""

from __future__ import annotations

import os
import select
import struct
import time

__all__ = ["LONGEST_FRAME", "FrameError", "Pipe"]

LONGEST_FRAME = 256 * 1024 * 1024
_HEADER = struct.Struct("<cI")
_CHUNK = 1 << 20


class FrameError(Exception):
    """The other side is gone, speaks nonsense, or (``timed_out``) has not answered in time."""

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class Pipe:
    """Sends and receives frames; with a deadline on the sandbox's side, which must never wait forever."""

    def __init__(self, reader: int, writer: int) -> None:
        self._reader = reader
        self._writer = writer
        os.set_blocking(reader, False)
        os.set_blocking(writer, False)

    def send(self, kind: bytes, payload: bytes, deadline: float | None = None) -> None:
        """Sends one frame.

        Raises:
            FrameError: the other side is gone or does not read before ``deadline`` (``time.monotonic``).
        """
        self._write(_HEADER.pack(kind, len(payload)), deadline)
        self._write(payload, deadline)

    def receive(self, deadline: float | None = None) -> tuple[bytes, bytes]:
        """The next frame's letter and bytes.

        Raises:
            FrameError: the other side is gone, or sends nonsense, or too late.
        """
        kind, length = _HEADER.unpack(self._read(_HEADER.size, deadline))
        if length > LONGEST_FRAME:
            raise FrameError(f"a frame of {length:,} bytes")
        return kind, self._read(length, deadline)

    def _write(self, data: bytes, deadline: float | None) -> None:
        view = memoryview(data)
        while view:
            self._wait(self._writer, select.POLLOUT, deadline)
            try:
                view = view[os.write(self._writer, view[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise FrameError("the other side is gone") from None

    def _read(self, length: int, deadline: float | None) -> bytes:
        pieces = bytearray()
        while len(pieces) < length:
            self._wait(self._reader, select.POLLIN, deadline)
            try:
                piece = os.read(self._reader, min(length - len(pieces), _CHUNK))
            except BlockingIOError:
                continue
            if not piece:
                raise FrameError("the other side is gone")
            pieces += piece
        return bytes(pieces)

    @staticmethod
    def _wait(descriptor: int, events: int, deadline: float | None) -> None:
        poll = select.poll()
        poll.register(descriptor, events)
        left = None if deadline is None else max(0.0, (deadline - time.monotonic()) * 1000)
        if not poll.poll(left):
            raise FrameError("no answer in time", timed_out=True)
