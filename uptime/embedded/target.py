"""The demo's built-in target: a small site that is fast, slow, broken or flapping on purpose, and keeps webhooks.

Run as `python -m uptime.embedded.target --state FOLDER`; its addresses are written to FOLDER/target.json.
"""

from __future__ import annotations

import argparse
import asyncio
import datetime
import html
import json
import os
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

NAME = "target.json"
HTTP_PORT, TLS_PORT, REFUSED_PORT = 8081, 8443, 8090
SLOW_S = 1.5
# Down comes first, so that a fresh demo shows an incident within two minutes and its end soon after.
FLAP_S = 180
KEPT_DELIVERIES = 50
MAX_BODY = 256 * 1024
HEALTH = json.dumps({"status": "ok", "version": "4.2", "database": {"lag_s": 42}})


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One answer of the target."""

    status: int = 200
    body: str = "ok"
    content_type: str = "text/plain; charset=utf-8"
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One webhook delivery as it came in."""

    at: str
    headers: dict[str, str]
    body: str


@dataclass(slots=True)
class Target:
    """The site: its paths, and the webhooks that arrived."""

    clock: Callable[[], float] = time.monotonic
    slow_s: float = SLOW_S
    started: float = 0.0
    deliveries: deque[Received] = field(default_factory=lambda: deque(maxlen=KEPT_DELIVERIES))

    def __post_init__(self) -> None:
        self.started = self.clock()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), timeout=75)
                request, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
                method, _, rest = request.partition(" ")
                headers = {
                    name.strip().lower(): value.strip()
                    for name, _, value in (line.partition(":") for line in lines)
                }
                size = int(headers.get("content-length") or 0)
                if size > MAX_BODY:
                    reply, body, closing = Reply(status=413, body="too large"), b"", True
                else:
                    body = await asyncio.wait_for(reader.readexactly(size), timeout=30)
                    closing = headers.get("connection", "").lower() == "close"
                    path = rest.rpartition(" ")[0].partition("?")[0]
                    reply = await self.answer(method, path, headers, body.decode(errors="replace"))
                writer.write(_encode(reply, head_only=method == "HEAD", closing=closing))
                await writer.drain()
                if closing:
                    return
        except (
            OSError,
            TimeoutError,
            ValueError,
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
        ):
            return  # a broken client is no business of a target
        finally:
            writer.close()

    async def answer(self, method: str, path: str, headers: dict[str, str], body: str) -> Reply:
        """What the site says to one request."""
        match path:
            case "/" | "/fast":
                return Reply(body="Everything is fine here.")
            case "/slow":
                await asyncio.sleep(self.slow_s)
                return Reply(body="Here at last.")
            case "/flapping":
                broken = int((self.clock() - self.started) // FLAP_S) % 2 == 0
                if broken:
                    return Reply(status=500, body="The flapping page is in its bad three minutes.")
                return Reply(body="The flapping page is in its good three minutes.")
            case "/500":
                return Reply(status=500, body="Internal error: the demo always fails here.")
            case "/keyword":
                return Reply(body="<h1>Out of stock</h1>", content_type="text/html; charset=utf-8")
            case "/health":
                return Reply(body=HEALTH, content_type="application/json")
            case "/redirect":
                return Reply(status=302, body="", location="/fast")
            case "/webhook" if method == "POST":
                now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
                self.deliveries.appendleft(Received(at=now, headers=headers, body=body))
                return Reply(status=204, body="")
            case "/webhook":
                return Reply(body=self._deliveries_page(), content_type="text/html; charset=utf-8")
        return Reply(status=404, body="There is no such page.")

    def _deliveries_page(self) -> str:
        entries = []
        for received in self.deliveries:
            shown = "\n".join(
                f"{name}: {value}"
                for name, value in received.headers.items()
                if name.startswith("webhook-") or name in {"content-type", "user-agent"}
            )
            try:
                body = json.dumps(json.loads(received.body), indent=2, ensure_ascii=False)
            except ValueError:
                body = received.body
            entries.append(
                f"<h2>{received.at}</h2><pre>{html.escape(shown)}\n\n{html.escape(body)}</pre>"
            )
        count = len(self.deliveries)
        return (
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>Received webhooks</title>'
            "<style>body{font:16px system-ui;margin:2rem;max-width:60rem}"
            "pre{background:#f3f4f6;padding:1rem;overflow:auto}</style>"
            f"<h1>Received webhooks</h1><p>{count} kept, newest first.</p>{''.join(entries)}</html>"
        )


def _encode(reply: Reply, *, head_only: bool, closing: bool) -> bytes:
    body = reply.body.encode()
    lines = [
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
        f"Content-Type: {reply.content_type}",
        f"Connection: {'close' if closing else 'keep-alive'}",
    ]
    if reply.status != 204:
        lines.append(f"Content-Length: {len(body)}")
    if reply.location:
        lines.append(f"Location: {reply.location}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (b"" if head_only else body)


def claim(port: int, *, host: str = "127.0.0.1") -> socket.socket:
    """A socket bound to this port or the next free one."""
    for candidate in range(port, port + 100):
        found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind((host, candidate))
        except OSError:
            found.close()
            continue
        return found
    raise OSError(f"none of the ports {port} to {port + 99} is free")


def expired_certificate(folder: Path) -> Path:
    """A certificate that ran out last year, with its key, in one file; made once."""
    path = folder / "expired.pem"
    if path.exists():
        return path
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "expired.demo.localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=730))
        .not_valid_after(now - datetime.timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    folder.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    draft.rename(path)
    return path


async def run(state: Path, *, http_port: int = HTTP_PORT, tls_port: int = TLS_PORT) -> None:
    """Serve until cancelled; the addresses are in `state`/target.json once both ports listen."""
    target = Target()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(expired_certificate(state))
    plain, secure = claim(http_port), claim(tls_port)
    # Bound but not listening: nobody else takes the port, and connections to it are refused.
    refused = claim(REFUSED_PORT)
    servers = [
        await asyncio.start_server(target.serve, sock=plain),
        await asyncio.start_server(target.serve, sock=secure, ssl=context),
    ]
    http = f"http://127.0.0.1:{plain.getsockname()[1]}"
    addresses = {
        "pid": os.getpid(),
        "http": http,
        "https": f"https://localhost:{secure.getsockname()[1]}",
        "refused": f"http://127.0.0.1:{refused.getsockname()[1]}",
        "webhook": f"{http}/webhook",
    }
    draft = state / f"{NAME}.draft"
    draft.write_text(json.dumps(addresses, indent=2) + "\n")
    draft.rename(state / NAME)
    print(f"listening at {addresses['http']} and {addresses['https']}", flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


def networks(state: Path, *, given: str = "") -> str:
    """UPTIME_ALLOW_NETWORKS as given, and what the demo needs: this machine, at the target's ports alone."""
    try:
        addresses = json.loads((state / NAME).read_text())
    except (OSError, ValueError):
        return given
    ports = sorted({urlsplit(addresses[name]).port for name in ("http", "https", "refused")})
    return ",".join([*filter(None, [given.strip()]), *(f"127.0.0.1/32:{port}" for port in ports)])


def main() -> None:
    parser = argparse.ArgumentParser(description="The demo's built-in target site.")
    parser.add_argument("--state", type=Path, required=True, help="folder for target.json")
    parser.add_argument("--http-port", type=int, default=HTTP_PORT)
    parser.add_argument("--tls-port", type=int, default=TLS_PORT)
    options = parser.parse_args()
    try:
        asyncio.run(run(options.state, http_port=options.http_port, tls_port=options.tls_port))
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()
