"""Where the answers to questions arrive: one epoll for the sockets of all lookups under way."""

from __future__ import annotations

import asyncio
import select
import socket
from collections.abc import Callable


class Mailbox:
    """The sockets of all questions under way, on one epoll that is one descriptor of the event
    loop: to register each of them with asyncio would cost as much as to send the question."""

    __slots__ = ("_epoll", "_readers", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._epoll = select.epoll()
        self._readers: dict[int, Callable[[], None]] = {}
        loop.add_reader(self._epoll.fileno(), self._deliver)

    def add(self, sock: socket.socket, reader: Callable[[], None]) -> None:
        """Call `reader` whenever there is something to receive."""
        self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._readers[sock.fileno()] = reader

    def close(self, sock: socket.socket) -> None:
        del self._readers[sock.fileno()]
        sock.close()  # the kernel takes it off the epoll

    def _deliver(self) -> None:
        for number, _ in self._epoll.poll(0):
            reader = self._readers.get(number)
            if reader is not None:  # else an earlier one of these has closed it
                reader()
