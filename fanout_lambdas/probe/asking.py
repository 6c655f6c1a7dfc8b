"""Puts questions to name servers over UDP, again and to the next one when no answer comes, and over
TCP when an answer is cut short. Nothing of it outlives the questions: no thread, no shared socket."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from types import TracebackType

from fanout_lambdas.probe.dns_message import (
    FORMERR,
    NOTIMP,
    REFUSED,
    SERVFAIL,
    is_answer,
    is_truncated,
    rcode,
)
from fanout_lambdas.probe.mailbox import Mailbox
from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.probe.shortage import is_shortage

# After each of these seconds without an answer the question goes to the next server, round and
# round; late answers of the earlier ones still count. After the last one it is given up.
WAITS = (0.4, 0.8, 1.6, 3.2)
_TCP_S = 3.0  # for the whole exchange over TCP
_MOST_BYTES = 16 * 1024  # of one answer; reading names in it costs time
# What this machine is short of is no server's fault: it is raised and not reported as silence.
_IN_TROUBLE = frozenset((FORMERR, SERVFAIL, NOTIMP, REFUSED))


class NoAnswer(StrEnum):
    """Why there is no answer that can be used."""

    SILENT = "The name servers gave no answer for {name}."
    CUT_SHORT = (
        "The name server's answer for {name} is cut short, "
        "and the whole one does not come over TCP."
    )
    TOO_LARGE = "The name server's answer for {name} is larger than 16 kiB."

    def about(self, name: str) -> str:
        """The sentence for people."""
        return self.value.format(name=name)


class Asking:
    """Questions that are put to the servers at the same moment; a context manager.

    Each server is asked from a socket of its own with a port of the kernel's choice and connected
    to it, so that answers of anybody else do not arrive here (RFC 5452). `replies` are in the
    order of the questions; `sources`, who gave those that are not a server's excuse.
    """

    __slots__ = (
        "_broken",
        "_failed",
        "_loop",
        "_mailbox",
        "_questions",
        "_round",
        "_servers",
        "_sockets",
        "_tcp",
        "_timer",
        "_waiter",
        "replies",
        "sources",
    )

    def __init__(
        self, questions: Sequence[bytes], servers: Sequence[NameServer], mailbox: Mailbox
    ) -> None:
        self.replies: list[bytes | NoAnswer | None] = [None] * len(questions)
        self.sources: list[NameServer | None] = [None] * len(questions)
        self._questions = questions
        self._servers = servers
        self._mailbox = mailbox
        self._loop = mailbox.loop
        # By the server's place in the list, as in _failed: what it said that is of no help.
        self._sockets: dict[int, socket.socket] = {}
        self._failed: list[dict[int, bytes | NoAnswer]] = [{} for _ in questions]
        self._tcp: dict[int, asyncio.Task[None]] = {}
        self._broken: OSError | None = None
        self._round = 0
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[None] | None = None

    def __enter__(self) -> Asking:
        self._next_round()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        for task in self._tcp.values():
            task.cancel()
        for sock in self._sockets.values():
            self._mailbox.close(sock)
        self._sockets.clear()

    async def news(self, timeout_s: float | None = None) -> None:
        """Return when a further reply is there, or after `timeout_s`. OSError when this machine
        has no socket to ask from."""
        if self._broken is not None:
            raise self._broken
        self._waiter = waiter = self._loop.create_future()
        if timeout_s is None:
            await waiter
        else:
            timer = self._loop.call_later(timeout_s, _wake, waiter)
            try:
                await waiter
            finally:
                timer.cancel()
        if self._broken is not None:
            raise self._broken

    def _next_round(self) -> None:
        if self._round == len(WAITS):
            for number, reply in enumerate(self.replies):
                if reply is None:
                    self._give_up(number)
            return
        self._timer = self._loop.call_later(WAITS[self._round], self._next_round)
        for number, reply in enumerate(self.replies):
            if reply is None and number not in self._tcp:
                self._ask(number)
        self._round += 1

    def _ask(self, number: int) -> None:
        """Put a question to the next server of whom help may still be expected."""
        failed, count = self._failed[number], len(self._servers)
        for step in range(count):
            place = (self._round + step) % count
            if place in failed:
                continue
            try:
                sock = self._sockets.get(place) or self._open(place)
                sock.send(self._questions[number])
            except BlockingIOError:  # the next round asks again
                return
            except OSError as error:
                if is_shortage(error):
                    self._broken = error
                    self._wake()
                else:
                    self._gone(place)
            return
        self._give_up(number)

    def _open(self, place: int) -> socket.socket:
        server = self._servers[place]
        sock = socket.socket(server.family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.connect((server.ip, server.port))
        except BaseException:
            sock.close()
            raise
        self._sockets[place] = sock
        self._mailbox.add(sock, partial(self._readable, place, sock))
        return sock

    def _readable(self, place: int, sock: socket.socket) -> None:
        try:
            data = sock.recv(_MOST_BYTES + 1)
        except BlockingIOError:
            return
        except OSError:  # nothing listens there
            self._gone(place)
            return
        for number, question in enumerate(self._questions):
            if self.replies[number] is None and is_answer(data, question):
                self._received(number, place, data)
                return

    def _received(self, number: int, place: int, data: bytes) -> None:
        if len(data) > _MOST_BYTES:
            self._fail(number, place, NoAnswer.TOO_LARGE)
        elif is_truncated(data):
            if number not in self._tcp:
                task = self._loop.create_task(self._ask_over_tcp(number, place))
                self._tcp[number] = task
        elif rcode(data) in _IN_TROUBLE:
            self._fail(number, place, data)
        else:
            self.sources[number] = self._servers[place]
            self._settle(number, data)

    async def _ask_over_tcp(self, number: int, place: int) -> None:
        data: bytes | NoAnswer
        try:
            async with asyncio.timeout(_TCP_S):
                data = await ask_over_tcp(self._questions[number], self._servers[place])
        except (OSError, EOFError) as error:  # TimeoutError is one
            if isinstance(error, OSError) and is_shortage(error):
                self._broken = error
                self._wake()
                return
            data = NoAnswer.CUT_SHORT
        del self._tcp[number]
        if isinstance(data, NoAnswer):
            self._fail(number, place, data)
        else:
            self._received(number, place, data)

    def _gone(self, place: int) -> None:
        """This server cannot be reached: on to the next one with all that is open."""
        if sock := self._sockets.pop(place, None):
            self._mailbox.close(sock)
        for number, reply in enumerate(self.replies):
            if reply is None and number not in self._tcp:
                self._fail(number, place, NoAnswer.SILENT)

    def _fail(self, number: int, place: int, saying: bytes | NoAnswer) -> None:
        """This server is of no help with this question: on to the next one."""
        if self.replies[number] is None and place not in self._failed[number]:
            self._failed[number][place] = saying
            self._ask(number)

    def _give_up(self, number: int) -> None:
        said = self._failed[number].values()
        # A server's own words tell people more than our waiting in vain.
        ranked = sorted(said, key=_usefulness)
        self._settle(number, ranked[-1] if ranked else NoAnswer.SILENT)

    def _settle(self, number: int, reply: bytes | NoAnswer) -> None:
        self.replies[number] = reply
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None:
            _wake(self._waiter)


async def ask_over_tcp(question: bytes, server: NameServer) -> bytes:
    """One question over a connection of its own; OSError or EOFError without a fitting answer."""
    loop = asyncio.get_running_loop()
    with socket.socket(server.family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (server.ip, server.port))
        await loop.sock_sendall(sock, len(question).to_bytes(2, "big") + question)
        size = int.from_bytes(await _exactly(loop, sock, 2), "big")
        data = await _exactly(loop, sock, min(size, _MOST_BYTES + 1))
    if not is_answer(data, question) or is_truncated(data):
        raise EOFError("another answer than asked for")
    return data


async def _exactly(loop: asyncio.AbstractEventLoop, sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = await loop.sock_recv(sock, size - len(data))
        if not part:
            raise EOFError("the connection was closed")
        data += part
    return data


def _usefulness(saying: bytes | NoAnswer) -> int:
    return 2 if isinstance(saying, bytes) else saying is not NoAnswer.SILENT


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
