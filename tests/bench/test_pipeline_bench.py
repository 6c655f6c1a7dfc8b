"""`python -m bench.pipeline` on a tiny load: a whole installation, one minute, every slot accounted for."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from uptime.embedded.places import PROJECT

MINUTE_KEYS = {
    *("planned", "answered_in_minute", "missed", "unaccounted", "duplicates"),
    *("lag_p50_ms", "lag_p99_ms", "slot_to_state_p50_ms", "slot_to_state_p99_ms"),
}
GROUPS = {"web", "probe", "jobs", "beat", "postgres", "targets"}


@pytest.mark.slow(seconds=120)
def test_a_tiny_run_accounts_for_every_slot() -> None:
    argv = [sys.executable, "-m", "bench.pipeline", "--clients", "2", "--checks", "5"]
    done = subprocess.run(
        [*argv, "--minutes", "1", "--json"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=260,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])["figures"]

    (minute,) = figures["minutes"]
    assert minute.keys() >= MINUTE_KEYS
    assert minute["planned"] == 10
    assert minute["planned"] == minute["answered_in_minute"] + minute["late"] + minute["missed"]
    assert minute["answered_in_minute"] == 10
    assert minute["unaccounted"] == 0
    assert minute["counters_agree"]
    assert 0 < minute["slot_to_state_p50_ms"] <= minute["slot_to_state_p99_ms"]
    assert figures["cpu_s_per_minute"].keys() >= GROUPS
    assert figures["peak_rss_mb"].keys() >= GROUPS
    assert figures["bytes_per_result"] > 0

    mine = [line for line in done.stderr.splitlines() if "targets" in line]
    assert mine  # progress for people stays off stdout
    assert len(done.stdout.splitlines()) == 1


def test_wrong_options_are_refused_in_words() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.pipeline", "--clients", "none", "--kill", "printer"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--clients: 'none' is not a whole number from 1 on" in done.stderr
