"""`python -m bench.probe` on a tiny load: every row is there, every probe was good, nothing is left behind."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from uptime.embedded.places import PROJECT

ROW_KEYS = {"engine", "scheme", "in_flight", "cpu_s_per_1000", "peak_rss_mb"}


def bench(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.probe", *options],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.slow
def test_a_tiny_run_measures_every_row() -> None:
    engines = ("uptime", "uptime (evidence)", "uptime (spaced)", "httpx", "aiohttp")
    done = bench(
        *("--repetitions", "1", "--probes", "20", "--in-flight", "10"),
        *("--engines", ",".join(engines), "--json"),
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 1  # progress for people stays off stdout
    figures = json.loads(done.stdout)["figures"]

    schemes = ("http", "ecdsa", "rsa")
    rows = figures["rows"]
    assert all(row.keys() >= ROW_KEYS for row in rows)
    assert {(row["engine"], row["scheme"]) for row in rows} == {
        (engine, scheme) for engine in engines for scheme in schemes
    }
    assert all(row["cpu_s_per_1000"] > 0 and row["peak_rss_mb"] > 10 for row in rows)
    assert figures["import_ms"] > 0


def test_an_unknown_engine_is_refused_in_words() -> None:
    done = bench("--engines", "uptime,curl")
    assert done.returncode == 2
    assert "--engines: curl is none of" in done.stderr
