"""A time limit for what a client sends: with it over, nothing more is read from the connection."""

from __future__ import annotations

import contextlib
import socket
import time
from threading import Lock, Thread

LOOKS_EVERY_S = 0.5


class Deadline:
    """Runs from its making until `cancel`. A time limit of the socket would begin anew with every byte."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self.passed = False
        self.until = time.monotonic() + seconds
        self._connection = connection
        _watch.add(self)

    def cancel(self) -> None:
        _watch.drop(self)

    def end(self) -> None:
        self.passed = True
        self.cancel()
        with contextlib.suppress(OSError):  # closed meanwhile
            self._connection.shutdown(socket.SHUT_RD)


class _Watch:
    """One thread over all deadlines: a timer for each would cost a thread for each request."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: set[Deadline] = set()
        self._thread: Thread | None = None

    def add(self, deadline: Deadline) -> None:
        with self._lock:
            self._open.add(deadline)
            # Not before the first: a process that forks later would leave its thread behind.
            if self._thread is None:
                self._thread = Thread(target=self._look, name="deadlines", daemon=True)
                self._thread.start()

    def drop(self, deadline: Deadline) -> None:
        with self._lock:
            self._open.discard(deadline)

    def _look(self) -> None:
        while True:
            time.sleep(LOOKS_EVERY_S)
            now = time.monotonic()
            with self._lock:
                over = [each for each in self._open if now >= each.until]
            for each in over:
                each.end()


_watch = _Watch()
