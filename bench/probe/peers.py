"""Peers that are programs of their own: prometheus-blackbox-exporter, driven over its HTTP interface, and ab."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from bench.cpu import TICKS_PER_S, processes
from bench.ending import end_process
from bench.probe.order import KEYWORD, Cost, Order, each, peak_rss_mb
from bench.probe.target import free_ports, wait_for_port
from uptime.embedded.processes import spawn

BLACKBOX, AB = "blackbox_exporter", "ab"
_CONFIG = f"""modules:
  probe:
    prober: http
    timeout: 10s
    http:
      preferred_ip_protocol: ip4
      fail_if_body_not_matches_regexp: ["{KEYWORD}"]
"""


def find_blackbox() -> str | None:
    return shutil.which("prometheus-blackbox-exporter") or shutil.which("blackbox_exporter")


def find_ab() -> str | None:
    return shutil.which("ab")


def versions() -> dict[str, str]:
    """Of those that are installed."""
    found = {}
    for name, program, flag in (
        (BLACKBOX, find_blackbox(), "--version"),
        (AB, find_ab(), "-V"),
    ):
        if program is not None:
            said = subprocess.run([program, flag], capture_output=True, text=True, check=False)
            words = (said.stdout + said.stderr).replace(",", " ").split()
            number = words.index("Version" if name == AB else "version") + 1
            found[name] = words[number]
    return found


def measure_blackbox(order: Order, *, roots: str) -> Cost:
    """A fresh exporter, asked for each probe by a client whose CPU does not count."""
    program = find_blackbox()
    assert program is not None
    with tempfile.TemporaryDirectory() as folder, _blackbox(program, folder, roots) as (pid, port):
        return asyncio.run(_drive(order, pid, port))


@contextlib.contextmanager
def _blackbox(program: str, folder: str, roots: str) -> Iterator[tuple[int, int]]:
    config = Path(folder) / "blackbox.yml"
    config.write_text(_CONFIG)
    (port,) = free_ports(1)
    process = spawn(
        [
            program,
            f"--config.file={config}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ],
        # Not tls_config.ca_file: that is read anew for each probe, which is 8 times dearer.
        env={**os.environ, "SSL_CERT_FILE": roots, "SSL_CERT_DIR": folder},
    )
    try:
        wait_for_port(port, process)
        yield process.pid, port
    finally:
        end_process(process)


async def _drive(order: Order, pid: int, port: int) -> Cost:
    path = f"/probe?module=probe&target={quote(order.url, safe='')}"
    # Uncompressed: packing the page is the scraper's wish and no part of a probe.
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def one() -> bool:
        reader, writer = idle.pop() if idle else await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        _, _, length = head.lower().partition(b"content-length: ")
        if length:
            page = await reader.readexactly(int(length.split()[0]))
        else:
            page = await reader.readuntil(b"\r\n0\r\n\r\n")
        idle.append((reader, writer))
        return b"\nprobe_success 1" in page

    run = each(one, in_flight=order.in_flight)
    await run(order.warm_up)
    cpu, wall = _cpu_s(pid), time.perf_counter()
    bad = await run(order.probes)
    cost = Cost(
        cpu_s=_cpu_s(pid) - cpu,
        wall_s=time.perf_counter() - wall,
        peak_rss_mb=peak_rss_mb(pid),
        bad=bad,
    )
    for _, writer in idle:
        writer.close()
    return cost


def measure_ab(order: Order) -> Cost:
    """`ab` without -k closes each connection; it neither verifies certificates nor reads the body's words."""
    program = find_ab()
    assert program is not None
    argv = [program, "-q", "-c", str(order.in_flight), "-n", str(order.probes)]
    argv += ["-H", "Connection: close", "-s", "30", order.url]
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(argv, stdout=said, stderr=subprocess.STDOUT)
        peak, ended = 0.0, 0
        while not ended:
            peak = max(peak, peak_rss_mb(process.pid))
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
            time.sleep(0.01)
        process.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        text = said.read().decode("utf-8", "replace")
    good = sum(
        int(line.split()[2]) for line in text.splitlines() if line.startswith("Complete requests:")
    )
    good -= sum(
        int(line.split()[2]) for line in text.splitlines() if line.startswith("Non-2xx responses:")
    )
    return Cost(
        cpu_s=used.ru_utime + used.ru_stime,
        wall_s=time.perf_counter() - began,
        peak_rss_mb=peak,
        bad=order.probes - good,
    )


def _cpu_s(pid: int) -> float:
    return processes()[pid].own / TICKS_PER_S
