"""`python -m bench.accuracy` with one batch a case: every case is there, and an unspaced start is the worse one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.accuracy.share import CGROUPS, held_to
from uptime.embedded.places import PROJECT

KEYS = {"memory_mb", "gb_s", "in_flight", "truth_ms", "p50_error_ms", "p95_error_ms"}


@pytest.mark.slow
def test_a_short_run_compares_spaced_starts_with_a_burst() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.accuracy", "--batches", "1", "--memory", "256", "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 1  # progress for people stays off stdout
    figures = json.loads(done.stdout)["figures"]
    assert figures.keys() >= KEYS
    assert figures["truth_ms"] == 300
    assert figures["memory_mb"] == 256
    assert figures["cpu_cores"] == pytest.approx(256 / 1_769, abs=0.001)
    cases = {case["name"]: case for case in figures["cases"]}
    assert len(cases) == len(figures["cases"]) >= 4
    billed = figures["cases"][0]["duration_ms"] / 1_000 * 256 / 1_024
    assert figures["gb_s"] == pytest.approx(billed, abs=0.01)
    assert {case["scheme"] for case in figures["cases"]} == {"http", "https"}
    assert cases["no limit, all at once"]["p95_error_ms"] > figures["p95_error_ms"]


BURN = "import time; t = time.monotonic()\nwhile time.monotonic() < t + 1: pass\nprint(time.process_time())"


@pytest.mark.parametrize("way", ["the system's", "without cgroups"])
def test_a_held_process_gets_its_share(way: str, tmp_path: Path) -> None:
    with held_to(0.2, cgroups=CGROUPS if way == "the system's" else tmp_path) as share:
        process = subprocess.Popen([sys.executable, "-c", BURN], stdout=subprocess.PIPE, text=True)
        share.hold(process.pid)
        said, _ = process.communicate(timeout=30)
    assert 0.02 < float(said) < 0.5


def test_what_was_held_is_free_afterwards() -> None:
    burn = "while True: pass"
    process = subprocess.Popen([sys.executable, "-c", burn])
    try:
        with held_to(0.1) as share:
            share.hold(process.pid)
        assert any(_busy(process.pid) > 0.15 for _ in range(20))  # others may want the cores too
    finally:
        process.kill()
        process.wait()


def _busy(pid: int) -> float:
    """The share of a core that it gets."""
    before, used = time.monotonic(), _cpu_s(pid)
    time.sleep(0.5)
    return (_cpu_s(pid) - used) / (time.monotonic() - before)


def _cpu_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat", "rb") as file:
        values = file.read().rpartition(b")")[2].split()
    return (int(values[11]) + int(values[12])) / os.sysconf("SC_CLK_TCK")
