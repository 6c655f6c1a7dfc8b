"""`python -m bench.fanout --faults`: what it refuses. What it does, `tests/faults/test_lambda.py` does in small."""

from __future__ import annotations

import subprocess
import sys

from uptime.embedded.places import PROJECT


def test_wrong_options_are_refused_in_words() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench.fanout", "--faults", "--workers", "none"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "--workers: 'none' is not a whole number from 1 on" in done.stderr
    assert "Traceback" not in done.stderr
