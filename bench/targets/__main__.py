"""`python -m bench.targets --folder FOLDER`: serves the targets over HTTP and HTTPS until it is ended."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import signal
import socket
import ssl
from pathlib import Path

from bench.targets.certificates import make_certificates
from bench.targets.serving import NAME
from bench.targets.site import Memory, Site

BACKLOG = 4096


def _listen() -> list[socket.socket]:
    """One free port on both loopback addresses, because `localhost` may mean either."""
    first = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    first.bind(("127.0.0.1", 0))
    try:
        second = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
        second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        second.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        second.bind(("::1", first.getsockname()[1]))
    except OSError:
        return [first]
    return [first, second]


def _context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.num_tickets = 0  # each probe makes a new connection and never resumes one
    return context


async def serve(folder: Path) -> None:
    """Listen on three free ports, tell them in targets.json, answer until SIGTERM."""
    certificates = make_certificates(folder)
    loop = asyncio.get_running_loop()
    memory = Memory()
    plain, secure, rsa = _listen(), _listen(), _listen()
    servers = [
        await loop.create_server(
            lambda: Site(memory, loop), sock=listening, ssl=tls, backlog=BACKLOG
        )
        for sockets, tls in (
            (plain, None),
            (secure, _context(certificates.ecdsa)),
            (rsa, _context(certificates.rsa)),
        )
        for listening in sockets
    ]
    addresses = {
        "http": f"http://127.0.0.1:{plain[0].getsockname()[1]}",
        "https": f"https://localhost:{secure[0].getsockname()[1]}",
        "https_rsa": f"https://localhost:{rsa[0].getsockname()[1]}",
        "ca": str(certificates.ca),
    }
    draft = folder / f"{NAME}.draft"
    draft.write_text(json.dumps(addresses))
    draft.rename(folder / NAME)
    gc.collect()
    gc.freeze()
    ended = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, ended.set)
    await ended.wait()
    for each in servers:
        each.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="The web sites that the benchmarks probe.")
    parser.add_argument("--folder", type=Path, required=True, help="where targets.json goes")
    options = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(options.folder))


if __name__ == "__main__":
    main()
