"""`python -m bench.fanout --quick`: every row and bar is there, and no slot is lost or probed twice."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bench.fanout.checks import DELAYS_MS, watched
from uptime.embedded.places import PROJECT

KEYS = {
    *("topology", "times", "computed", "slots", "started", "finished", "seconds_to_start"),
    *("throttled", "retried", "duplicates", "gb_s", "usd_month_article", "usd_month_today"),
}


def bench(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.fanout", *argv],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )


@pytest.mark.slow(40)
def test_a_short_run_measures_each_topology_and_works_out_the_larger_loads() -> None:
    done = bench("--quick", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 1  # progress for people stays off stdout
    figures = json.loads(done.stdout)["figures"]
    rows = figures["rows"]
    for row in rows:
        assert row.keys() >= KEYS
        assert 0 < row["finished"] <= row["started"] <= row["slots"]
        assert row["gb_s"] > 0
        assert row["usd_month_today"] > 0
    measured = [row for row in rows if not row["computed"]]
    assert [row["topology"] for row in measured] == ["direct", "direct", "fanout", "batched"]
    assert {(row["topology"], row["times"]) for row in rows if row["computed"]} == {
        (topology, times) for topology in ("direct", "fanout", "batched") for times in (10, 100)
    }
    fast, loop, fan, ours = measured
    assert loop["started"] < fast["started"]  # latency is what keeps the loop back
    assert fan["started"] == ours["finished"] == ours["slots"]
    assert ours["duplicates"] == ours["reports_refused"] == 0
    assert ours["up"] + ours["timed_out"] == ours["slots"]
    assert ours["usd_month_today"] < fan["usd_month_today"]
    assert set(figures["bars"]) >= {"batched: p95 error", "batched: Lambda a month, arm64"}


def test_targets_answer_in_half_a_second_on_average_and_one_in_a_hundred_never() -> None:
    checks = watched(10_000)
    delays = [each.delay_ms for each in checks if each.delay_ms is not None]
    assert len(delays) == 9_900
    assert DELAYS_MS[0] <= min(delays) <= max(delays) <= DELAYS_MS[1]
    assert sum(delays) / len(delays) == pytest.approx(500, abs=2)
    assert sum(each.tls for each in checks) == pytest.approx(5_000, abs=100)
    seconds = [each.second for each in checks if each.delay_ms is None]
    assert max(map(seconds.count, set(seconds))) <= 2  # spread over the minute too


def test_a_count_that_is_none_is_named() -> None:
    done = bench("--checks", "0")
    assert done.returncode == 2
    assert "'0' is not a whole number from 1 on" in done.stderr
