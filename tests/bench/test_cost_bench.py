"""`python -m bench.cost`: its tables, its figures, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from uptime.embedded.places import PROJECT

PARTS = {
    *("compute", "init", "requests", "logs", "s3", "scheduler", "alarms", "egress", "ingest"),
    *("lambda", "total"),
}


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench.cost", *argv],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_figures_are_one_object_on_the_last_line() -> None:
    done = run("--checks", "2000", "--interval", "30", "--region-count", "2", "--json")
    assert done.returncode == 0, done.stderr[-3000:]
    assert len(done.stdout.splitlines()) == 1
    figures = json.loads(done.stdout)["figures"]

    rows = figures["rows"]
    assert {(row["design"], row["architecture"], row["times"]) for row in rows} == {
        (design, architecture, times)
        for design in ("direct", "fanout", "batched")
        for architecture in ("x86_64", "arm64")
        for times in (1, 10, 100)
    }
    for row in rows:
        assert row["usd_month"].keys() == PARTS
        assert row["slots_a_minute"] == 2_000 * 2 * 2 * row["times"]
        assert 0 < row["started_a_minute"] <= row["slots_a_minute"]
        parts = PARTS - {"lambda", "total"}
        total = sum(row["usd_month"][part] for part in parts)
        assert row["usd_month"]["total"] == pytest.approx(total, abs=0.01)
    assert figures["article"]["usd_month_article"] == pytest.approx(807.27, abs=1.0)
    assert "Assumed" in done.stderr  # for people, off stdout


def test_slower_targets_and_more_timeouts_cost_more() -> None:
    def batched(*argv: str) -> float:
        figures = json.loads(run(*argv, "--json").stdout)["figures"]
        (row,) = (
            row
            for row in figures["rows"]
            if (row["design"], row["architecture"], row["times"]) == ("batched", "arm64", 1)
        )
        return float(row["usd_month"]["lambda"])

    usual = batched()
    assert batched("--latency-ms", "2000") > usual
    assert batched("--timeouts-percent", "5") > usual
    assert batched("--free-tier") < usual


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (("--checks", "0"), "--checks: '0' is not a whole number from 1 to"),
        (("--checks", "many"), "--checks: 'many' is not a whole number"),
        (("--interval", "7"), "--interval: invalid choice: 7"),
        (("--region-count", "-1"), "--region-count: '-1' is not a whole number"),
        (("--timeouts-percent", "nan"), "--timeouts-percent: 'nan' is not a number from 0 to 100"),
        (("--latency-ms", "20000"), "an answer cannot take longer than --timeout-ms"),
        (("--memory", "64"), "--memory: '64' is not a whole number from 128 to 10,240"),
    ],
)
def test_wrong_options_are_refused_in_words(argv: tuple[str, ...], words: str) -> None:
    done = run(*argv)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
