"""One accepted connection in the hands of a hostile script: every byte, close and reset is the script's own."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct

from tests.targets import head_and_length

READ_BYTES = 65_536


class Peer:
    """A plain connection. Scripts that fake TLS work on it as well, byte by byte."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.requests: list[bytes] = []

    async def recv(self) -> bytes:
        """What the prober sent; empty at its end."""
        return await asyncio.get_running_loop().sock_recv(self.sock, READ_BYTES)

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def request(self) -> bytes:
        """Head and body of the next request; empty when the prober closed instead."""
        data = b""
        while b"\r\n\r\n" not in data:
            part = await self.recv()
            if not part:
                return b""
            data += part
        head, length = head_and_length(data)
        while len(data) < head + length:
            part = await self.recv()
            if not part:
                break
            data += part
        self.requests.append(data)
        return data

    async def linger(self) -> None:
        """Stay until the prober goes away."""
        while await self.recv():
            pass

    async def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    async def close(self) -> None:
        """An orderly end. What was not read would make the kernel send a reset instead."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
        self.sock.close()

    def reset(self) -> None:
        """RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class TlsPeer(Peer):
    """The same over TLS, with the handshake's flights in the script's hands."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(sock)
        self.context = context
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    async def first_flight(self) -> bytes:
        """Read the ClientHello and return what a good server would answer, unsent."""
        self._incoming.write(await super().recv())
        with contextlib.suppress(ssl.SSLWantReadError):
            self._tls.do_handshake()
        return self._outgoing.read()

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._feed()
            except ssl.SSLError:
                await self._flush()  # the alert that says why
                raise
            else:
                await self._flush()
                return

    async def recv(self) -> bytes:
        while True:
            try:
                return self._tls.read(READ_BYTES)
            except ssl.SSLWantReadError:
                await self._feed()
            except ssl.SSLZeroReturnError:
                return b""
            except ssl.SSLError:
                await self._flush()
                raise

    async def send(self, data: bytes) -> None:
        if data:
            self._tls.write(data)
            await self._flush()

    async def close(self) -> None:
        """With close_notify, as a server should."""
        with contextlib.suppress(ssl.SSLError, OSError):
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            await self._flush()
        await super().close()

    async def close_without_notice(self) -> None:
        """The end that many servers make: FIN alone."""
        await super().close()

    async def _flush(self) -> None:
        if data := self._outgoing.read():
            await super().send(data)

    async def _feed(self) -> None:
        data = await super().recv()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
