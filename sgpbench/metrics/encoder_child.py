"""The process that holds the encoders: ``python -m sgpbench.metrics.encoder_child FD DEVICE LARGEST_BATCH``.

It reads numbered requests from the connection on the inherited file descriptor, answers them in their order, and ends
when the other side is gone.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from multiprocessing.connection import Connection

from sgpbench.metrics.encoding import EncoderError, Reply, Request

__all__ = ["main"]

Message = tuple[int, Reply | str]
"""A ticket and its answer, or the words of an ``EncoderError``."""


def main(arguments: list[str]) -> int:
    """Serves until the connection ends."""
    # Ctrl-C goes to every process of a terminal; the one that asks decides when this one ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, device, largest = int(arguments[0]), arguments[1], int(arguments[2])
    # The libraries warn of harmless things; what matters comes back as an answer or as this process's last words.
    logging.basicConfig(level=logging.ERROR, stream=sys.stderr)
    warnings.simplefilter("ignore")
    connection = Connection(descriptor)
    requests: queue.Queue[tuple[int, Request]] = queue.Queue()
    threading.Thread(target=_receive, args=(connection, requests), name="receive", daemon=True).start()
    from sgpbench.metrics.encoder_engine import Engine

    try:
        engine = Engine(device, largest_batch=largest or None)
    except EncoderError as error:
        ticket, _ = requests.get()
        connection.send((ticket, str(error)))
        return 1
    for ticket, reply in engine.run(_forever(requests)):
        connection.send((ticket, str(reply) if isinstance(reply, EncoderError) else reply))
    return 0


def _receive(connection: Connection, requests: queue.Queue[tuple[int, Request]]) -> None:
    """Requests as they come, so that the other side never waits to send; its end is the end of this process."""
    while True:
        try:
            requests.put(connection.recv())
        except (EOFError, OSError):
            os._exit(0)


def _forever(requests: queue.Queue[tuple[int, Request]]) -> Iterator[tuple[int, Request]]:
    while True:
        yield requests.get()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
