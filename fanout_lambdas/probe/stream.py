"""An open connection, plain or TLS, whose waits are the poller's; the deadline is the run's."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time

from fanout_lambdas.probe.poller import Poller, ready
from fanout_lambdas.probe.tls import UnknownName, read_certificate, rejected
from fanout_lambdas.shared.contracts import Certificate

# What OpenSSL is given at a time: about one record. It works through all of it before it returns, and
# a server can put a thousand session tickets into one.
_FED_BYTES = 16 * 1024
_WOULD_BLOCK = (BlockingIOError, InterruptedError)


class Stream:
    """A plain connection."""

    __slots__ = ("_poller", "_sock")

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        self._sock = sock
        self._poller = poller

    async def read(self, max_bytes: int) -> bytes:
        """The next bytes, none at the end."""
        while True:
            try:
                data = self._sock.recv(max_bytes)
            except _WOULD_BLOCK:
                await ready()
            else:
                await self._poller.share()
                return data

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._sock.send(view) :]
            except _WOULD_BLOCK:
                await ready()

    def close(self) -> None:
        self._poller.forget(self._sock.fileno())
        self._sock.close()


class TlsStream(Stream):
    """TLS over memory, not over the socket: there OpenSSL would read on for as long as a server sends
    messages of TLS itself, and all other probes and the deadline would wait with it."""

    __slots__ = ("_incoming", "_outgoing", "_tls", "certificate")
    _tls: ssl.SSLObject

    def __init__(self, sock: socket.socket, poller: Poller) -> None:
        super().__init__(sock, poller)
        self.certificate: Certificate | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()

    async def handshake(self, context: ssl.SSLContext, host: str, *, speaks_first: bool) -> None:
        """Closes the connection when it fails. Raises CertificateRejected, UnknownName,
        ssl.SSLError, OSError. With `speaks_first` its last message waits for the first data."""
        try:
            # As bytes: the name is in its one ASCII form, and would be encoded anew for each connection.
            name = host.encode("ascii")
            self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
            await self._shake_hands()
            if not speaks_first:
                await self._flush()
            der = self._tls.getpeercert(True)
            self.certificate = read_certificate(der) if der else None
        except ssl.SSLCertVerificationError as error:
            failure = rejected(error, self._tls, host, time.time())
            self.certificate = failure.certificate
            with contextlib.suppress(OSError):
                self._sock.send(self._outgoing.read())  # the alert, if there is room for it
            self.close()
            raise failure from error
        except BaseException as error:
            self.close()
            if isinstance(error, ssl.SSLError) and error.reason == "TLSV1_UNRECOGNIZED_NAME":
                raise UnknownName(f"The server does not know the name {host}.") from error
            raise

    async def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._exchange()
            else:
                return

    async def read(self, max_bytes: int) -> bytes:
        """As above. A TLS peer may end without saying so, as many do."""
        if not self._incoming.pending and not self._tls.pending():
            await self._exchange()
        while True:
            try:
                return self._tls.read(max_bytes)
            except ssl.SSLWantReadError:
                await self._exchange()
            except ssl.SSLEOFError:
                return b""

    async def write(self, data: bytes) -> None:
        while True:
            try:
                self._tls.write(data)
            except ssl.SSLWantReadError:  # the server began a handshake of its own
                await self._exchange()
            else:
                await self._flush()
                return

    async def _flush(self) -> None:
        """Send what TLS has to say."""
        if self._outgoing.pending:
            await super().write(self._outgoing.read())

    async def _exchange(self) -> None:
        await self._flush()
        data = await super().read(_FED_BYTES)
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
