"""A DNS server on loopback that tests script, over UDP and TCP: good, broken, hostile or silent."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = Mapping[str, str | Iterable[str]]
"""Names need no last dot: `{"example.com A": "93.184.216.34", "example.com MX": ["10 mail.example.com"]}`"""


@dataclass(frozen=True)
class Query:
    """One question as it arrived; `name` in lower case without its dot, `kind` like "AAAA"."""

    name: str
    kind: str
    wire: bytes
    over_tcp: bool = False
    sender: tuple[str, int] = ("", 0)

    @classmethod
    def read(cls, wire: bytes, sender: tuple[str, int], *, over_tcp: bool) -> Query:
        (asked,) = dns.message.from_wire(wire).question
        name = asked.name.to_text(omit_final_dot=True).lower()
        return cls(name, dns.rdatatype.to_text(asked.rdtype), wire, over_tcp, sender)

    def reply(
        self,
        *records: str,
        rcode: str = "NOERROR",
        truncated: bool = False,
        aliases: Iterable[tuple[str, str]] = (),
    ) -> bytes:
        """An answer with `records` of the type asked for, owned by the last of the `aliases`."""
        message = dns.message.make_response(dns.message.from_wire(self.wire), True)
        message.set_rcode(dns.rcode.from_text(rcode))
        owner = self.name
        for name, target in aliases:
            message.answer.append(dns.rrset.from_text(name + ".", 60, "IN", "CNAME", target + "."))
            owner = target
        if records:
            message.answer.append(
                dns.rrset.from_text_list(
                    owner + ".",
                    60,
                    "IN",
                    self.kind,
                    records,
                    origin=dns.name.root,
                    relativize=False,
                )
            )
        if truncated:
            message.flags |= dns.flags.TC
        return message.to_wire(max_size=65_535)


Script = Callable[[Query], Iterable[bytes | float]]
"""What is sent back, in order; a number is a pause in seconds. Nothing at all is silence."""


@dataclass
class Server:
    """A running server: where it listens, and what it was asked."""

    port: int
    queries: list[Query] = field(default_factory=list)

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"

    def asked(self, name: str) -> list[str]:
        return [query.kind for query in self.queries if query.name == name]


def serves(zone: Zone) -> Script:
    """Answers from the zone; names that have other records alone get an empty answer."""
    records = {key: [value] if isinstance(value, str) else [*value] for key, value in zone.items()}
    names = {key.split()[0] for key in records}

    def script(query: Query) -> Iterable[bytes]:
        found = records.get(f"{query.name} {query.kind}", [])
        missing = query.name not in names
        return [query.reply(*found, rcode="NXDOMAIN" if missing else "NOERROR")]

    return script


def silent(query: Query) -> Iterable[bytes]:
    return ()


@contextlib.contextmanager
def name_server(script: Script | Zone, *, tcp: bool = True) -> Iterator[Server]:
    """Run `script` for each question until the block ends."""
    answer = serves(script) if isinstance(script, Mapping) else script
    datagrams, listener = _bind(tcp=tcp)
    server = Server(datagrams.getsockname()[1])

    def respond(
        wire: bytes,
        sender: tuple[str, int],
        send: Callable[[bytes], object],
        *,
        over_tcp: bool,
    ) -> None:
        query = Query.read(wire, sender, over_tcp=over_tcp)
        server.queries.append(query)
        with contextlib.suppress(OSError):
            for part in answer(query):
                if isinstance(part, bytes):
                    send(part)
                else:
                    time.sleep(part)

    def over_udp() -> None:
        while True:
            try:
                wire, sender = datagrams.recvfrom(65_535)
            except OSError:
                return
            if not wire:
                return

            def send(data: bytes, sender: tuple[str, int] = sender) -> None:
                datagrams.sendto(data, sender)

            _start(respond, wire, sender, send, over_tcp=False)

    def one(peer: socket.socket) -> None:
        with contextlib.suppress(OSError), peer:
            peer.settimeout(10)
            size = int.from_bytes(peer.recv(2, socket.MSG_WAITALL), "big")
            wire = peer.recv(size, socket.MSG_WAITALL)
            if wire:
                respond(
                    wire,
                    peer.getpeername(),
                    lambda data: peer.sendall(len(data).to_bytes(2, "big") + data),
                    over_tcp=True,
                )

    def over_tcp() -> None:
        while listener is not None:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            _start(one, peer)

    threads = [_start(over_udp), _start(over_tcp)]
    try:
        yield server
    finally:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", datagrams.getsockname())  # wakes the thread that sits in recvfrom
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in threads:
            thread.join(5)
        datagrams.close()


def _bind(*, tcp: bool) -> tuple[socket.socket, socket.socket | None]:
    """UDP and TCP on one port of 127.0.0.1."""
    while True:
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        datagrams.bind(("127.0.0.1", 0))
        if not tcp:
            return datagrams, None
        try:
            return datagrams, socket.create_server(datagrams.getsockname(), backlog=128)
        except OSError:
            datagrams.close()


def _start(work: Callable[..., None], *arguments: object, **named: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, kwargs=named, daemon=True)
    thread.start()
    return thread
