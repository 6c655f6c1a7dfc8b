"""Loopback servers that tests aim at: scripted HTTP answers, TLS with any certificate, a receiver.

A `Target` answers each connection by its script; scripts are small functions on raw sockets, so
that broken servers are as easy to write as good ones.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import ssl
import struct
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Script = Callable[[socket.socket, bytes], None]


@dataclass
class Target:
    """A listening server: its port, and the head and body of each request it received."""

    port: int
    scheme: str = "http"
    requests: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"{self.scheme}://{host}:{self.port}{path}"


def answer(
    status: str = "200 OK", body: bytes = b"hello", *headers: str, length: bool = True
) -> bytes:
    """One whole HTTP/1.1 answer."""
    lines = [f"HTTP/1.1 {status}", *headers]
    if length:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def replies(*answers: bytes) -> Script:
    """A script that sends the answers in turn, the last one for ever."""
    turn = iter(answers)
    last = answers[-1]

    def script(peer: socket.socket, request: bytes) -> None:
        peer.sendall(next(turn, last))

    return script


def resets(peer: socket.socket, request: bytes) -> None:
    """Close with RST instead of FIN."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@contextlib.contextmanager
def serve(
    script: Script,
    *,
    context: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    greeting: bytes = b"",
) -> Iterator[Target]:
    """Run `script(socket, request)` for each connection until the block ends; a server that
    speaks first sends its greeting before it reads the request."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, 0), family=family, backlog=512)
    target = Target(listener.getsockname()[1], "https" if context else "http")
    closing = threading.Event()

    def one(peer: socket.socket) -> None:
        with contextlib.suppress(OSError, ssl.SSLError), peer:
            peer.settimeout(10)
            peer.sendall(greeting)
            wrapped = context.wrap_socket(peer, server_side=True) if context else peer
            with wrapped:
                request = read_request(wrapped)
                if request:
                    target.requests.append(request)
                    script(wrapped, request)

    def loop() -> None:
        while not closing.is_set():
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(peer,), daemon=True).start()

    thread = threading.Thread(target=loop, daemon=True)
    thread.start()
    try:
        yield target
    finally:
        closing.set()
        # Closing alone does not wake a thread that sits in accept.
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def read_request(peer: socket.socket) -> bytes:
    """Head and body of one request."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = peer.recv(65_536)
        if not part:
            return b""
        data += part
    head, length = head_and_length(data)
    while len(data) < head + length:
        part = peer.recv(65_536)
        if not part:
            break
        data += part
    return data


def head_and_length(data: bytes) -> tuple[int, int]:
    """The bytes of a request's head with its blank line, and its Content-Length."""
    head, _, _ = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            length = int(value)
    return len(head) + 4, length


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@dataclass
class Receiver:
    """An HTTP endpoint that records requests and answers with scripted statuses."""

    url: str
    statuses: list[int]
    headers: dict[str, str] = field(default_factory=dict)
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)


@contextlib.contextmanager
def receive(*statuses: int, headers: dict[str, str] | None = None) -> Iterator[Receiver]:
    """Answer POSTs with `statuses` in turn, the last one for ever."""
    receiver = Receiver("", list(statuses), headers or {})
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            with lock:
                receiver.received.append((dict(self.headers.items()), body))
                more = len(receiver.statuses) > 1
                status = receiver.statuses.pop(0) if more else receiver.statuses[0]
            self.send_response(status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_address[1]}/ingest/v1/results"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


@dataclass(frozen=True)
class Authority:
    """A certificate authority of our own; `ca_file` is what a client has to trust."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    ca_file: str

    def context(
        self,
        host: str = "localhost",
        *,
        days: float = 90,
        since_days: float = 365,
        self_signed: bool = False,
    ) -> ssl.SSLContext:
        """A server's TLS context with a certificate for `host` that ends in `days` days."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name(host)
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name if self_signed else self.certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=since_days))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        )
        signed = builder.sign(key if self_signed else self.key, hashes.SHA256())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(_private(key) + signed.public_bytes(serialization.Encoding.PEM))
            file.flush()
            context.load_cert_chain(file.name)
        return context


@cache
def authority() -> Authority:
    """One authority for the whole test run."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("Test authority")
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3_650))
        .not_valid_after(now + timedelta(days=3_650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = Path(tempfile.mkdtemp(prefix="uptime-ca-")) / "ca.pem"
    path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(key, certificate, str(path))


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
