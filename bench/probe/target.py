"""What is probed: nginx where it is installed, else the benchmarks' own site; 1,024 bytes, no TLS session tickets."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import certifi

from bench.ending import end_process
from bench.probe.order import KEYWORD
from bench.targets.certificates import make_certificates
from bench.targets.serving import serving
from uptime.embedded.processes import spawn

BODY_BYTES = 1_024
SCHEMES = ("http", "ecdsa", "rsa")
SLOW_MS = 3_000
"""Long enough that hundreds of connections wait for their answers at one time."""
START_S = 10.0

_SITE = """
  server {{
    listen 127.0.0.1:{port}{ssl} backlog=4096;{certificate}
    default_type text/html;
    location / {{ return 200 "{good}"; }}
    location /down {{ return 500 "{bad}"; }}
  }}
"""
_TLS = """
  ssl_protocols TLSv1.3;
  ssl_session_cache off;
  ssl_session_tickets off;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`good` and `down` by scheme; `slow` answers over TLS after SLOW_MS. `roots`: the public
    authorities and our own in one file."""

    name: str
    good: Mapping[str, str]
    down: Mapping[str, str]
    slow: str
    ca: str
    roots: str


@contextlib.contextmanager
def target(folder: Path) -> Iterator[Target]:
    """All of it runs until the block is left. Literal addresses: no engine's name lookup counts."""
    with contextlib.ExitStack() as stack:
        own = folder / "targets"
        own.mkdir()
        _, addresses = stack.enter_context(serving(own))
        base = {
            scheme: addresses[key].replace("localhost", "127.0.0.1")
            for scheme, key in zip(SCHEMES, ("http", "https", "https_rsa"), strict=True)
        }
        good = {scheme: f"{url}/ok/0/1" for scheme, url in base.items()}
        down = {scheme: f"{url}/error/0/1" for scheme, url in base.items()}
        name, ca = "bench.targets", Path(addresses["ca"]).read_text()
        nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if nginx is not None:
            name = _version(nginx)
            place = folder / "nginx"
            place.mkdir()
            base, more = stack.enter_context(_nginx(nginx, place))
            good = {scheme: f"{url}/" for scheme, url in base.items()}
            down = {scheme: f"{url}/down" for scheme, url in base.items()}
            ca += more
        (folder / "ca.pem").write_text(ca)
        (folder / "roots.pem").write_text(Path(certifi.where()).read_text() + ca)
        slow = addresses["https"].replace("localhost", "127.0.0.1")
        yield Target(
            name=name,
            good=good,
            down=down,
            slow=f"{slow}/ok/{SLOW_MS}/1",
            ca=str(folder / "ca.pem"),
            roots=str(folder / "roots.pem"),
        )


@contextlib.contextmanager
def _nginx(program: str, place: Path) -> Iterator[tuple[dict[str, str], str]]:
    certificates = make_certificates(place)
    ports = dict(zip(SCHEMES, free_ports(len(SCHEMES)), strict=True))
    (place / "nginx.conf").write_text(_configuration(ports, place))
    process = spawn(
        [program, "-p", str(place), "-e", "stderr", "-c", str(place / "nginx.conf")],
        env=os.environ,
    )
    try:
        for port in ports.values():
            wait_for_port(port, process)
        secure = {"http": "http", "ecdsa": "https", "rsa": "https"}
        urls = {scheme: f"{secure[scheme]}://127.0.0.1:{port}" for scheme, port in ports.items()}
        yield urls, certificates.ca.read_text()
    finally:
        end_process(process)


def _configuration(ports: Mapping[str, int], place: Path) -> str:
    good = f"<!doctype html><h1>{KEYWORD}</h1>".ljust(BODY_BYTES, ".")
    bad = "<!doctype html><h1>Something broke</h1>".ljust(BODY_BYTES, ".")
    sites = ""
    for scheme, port in ports.items():
        ssl = certificate = ""
        if scheme != "http":
            ssl, pem = " ssl", place / f"{scheme}.pem"
            certificate = f"\n    ssl_certificate {pem};\n    ssl_certificate_key {pem};"
        sites += _SITE.format(port=port, ssl=ssl, certificate=certificate, good=good, bad=bad)
    folders = "".join(
        f"  {each}_temp_path {place}/{each};\n"
        for each in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        f"daemon off;\nworker_processes 1;\npid {place}/pid;\n"
        "events { worker_connections 4096; }\n"
        f"http {{\n  access_log off;\n{folders}{_TLS}{sites}}}\n"
    )


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Until it accepts a connection; RuntimeError when its process ends or takes too long."""
    until = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{process.args!r} did not start") from None
            time.sleep(0.05)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that were free a moment ago."""
    with contextlib.ExitStack() as stack:
        trying = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in trying:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in trying]


def _version(nginx: str) -> str:
    said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=False)
    return (said.stderr or said.stdout).strip().rpartition(": ")[2] or "nginx"
