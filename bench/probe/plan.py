"""Which engines are measured, on what, and how one measurement is made."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from bench.probe.order import Cost, Order
from bench.probe.peers import AB, BLACKBOX, find_ab, find_blackbox, measure_ab, measure_blackbox
from bench.probe.target import SCHEMES, Target
from uptime.embedded.places import PROJECT

OURS, OURS_DOWN, OURS_SPACED = "uptime", "uptime (evidence)", "uptime (spaced)"
MODULES = {
    OURS: "bench.probe.uptime_engine",
    OURS_DOWN: "bench.probe.uptime_engine",
    OURS_SPACED: "bench.probe.uptime_engine",
    "httpx": "bench.probe.httpx_engine",
    "aiohttp": "bench.probe.aiohttp_engine",
}
ENGINES = (OURS, OURS_DOWN, OURS_SPACED, BLACKBOX, "httpx", "aiohttp", AB)
IN_FLIGHT = (100, 500)
HOLDING = (OURS, BLACKBOX, "httpx", "aiohttp")
"""Those whose memory is measured while all connections wait for an answer."""
TIMEOUT_S = 300.0


class MeasurementFailed(Exception):
    """A process ended badly, or its probes did; the text says which."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    engine: str
    scheme: str
    in_flight: int


def missing() -> list[str]:
    """Peers that this machine does not have, with the package that would bring them."""
    found = []
    if find_blackbox() is None:
        found.append(f"{BLACKBOX} (Debian: prometheus-blackbox-exporter)")
    if find_ab() is None:
        found.append(f"{AB} (Debian: apache2-utils)")
    return found


def rows(engines: Sequence[str], limits: Sequence[int]) -> list[Row]:
    """Every engine on every scheme; our evidence path and spaced starts with the first limit alone."""
    absent = {BLACKBOX: find_blackbox() is None, AB: find_ab() is None}
    return [
        Row(engine=engine, scheme=scheme, in_flight=in_flight)
        for in_flight in limits
        for scheme in SCHEMES
        for engine in engines
        if not absent.get(engine)
        and not (engine in (OURS_DOWN, OURS_SPACED) and in_flight != limits[0])
    ]


def measure(row: Row, target: Target, *, probes: int, warm_up: int, slow: bool = False) -> Cost:
    """One repetition of one row, in processes of its own."""
    down = row.engine == OURS_DOWN
    url = target.slow if slow else (target.down if down else target.good)[row.scheme]
    order = Order(
        url=url,
        ca=target.ca,
        probes=probes,
        warm_up=warm_up,
        in_flight=row.in_flight,
        down=down,
        spaced=row.engine == OURS_SPACED,
    )
    if row.engine == BLACKBOX:
        cost = measure_blackbox(order, roots=target.roots)
    elif row.engine == AB:
        cost = measure_ab(order)
    else:
        cost = _measure_module(MODULES[row.engine], order)
    if cost.bad:
        raise MeasurementFailed(
            f"{row.engine} over {row.scheme}, {row.in_flight} in flight: "
            f"{cost.bad} of {probes} probes did not end as they should."
        )
    return cost


def _measure_module(module: str, order: Order) -> Cost:
    done = subprocess.run(
        [sys.executable, "-m", module, order.to_argument()],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    if done.returncode:
        raise MeasurementFailed(f"{module} ended with {done.returncode}:\n{done.stderr[-2_000:]}")
    return Cost.from_json(done.stdout.splitlines()[-1])
