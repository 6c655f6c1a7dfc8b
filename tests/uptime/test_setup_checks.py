"""`manage.py check` speaks in sentences when the configuration is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from uptime.env import KNOWN

PROJECT = Path(__file__).parents[2]


def check(tmp_path: Path, **values: str) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in os.environ.items() if k not in KNOWN}
    env |= {
        "DJANGO_SETTINGS_MODULE": "uptime.settings",
        "UPTIME_STATE_DIR": str(tmp_path),
        **values,
    }
    argv = [sys.executable, "manage.py", "check"]
    return subprocess.run(
        argv, cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def test_wrong_values_stop_a_command_and_name_themselves(tmp_path: Path) -> None:
    done = check(
        tmp_path,
        DATABASE_URL="mysql://me:geheim@db/x",
        PROBE_ENGINE="magic",
        UPTIME_SITE_URI="https://example.org",
    )

    assert done.returncode == 1
    assert "DATABASE_URL is 'mysql://me:***@db/x'" in done.stderr
    assert "Expected postgresql://USER:PASSWORD@HOST:PORT/NAME" in done.stderr
    assert "PROBE_ENGINE is 'magic'" in done.stderr
    assert "Did you mean UPTIME_SITE_URL?" in done.stderr
    assert "Traceback" not in done.stderr
    assert "geheim" not in done.stderr


def test_a_broker_without_its_package_says_what_to_install(tmp_path: Path) -> None:
    done = check(tmp_path, CELERY_BROKER_URL="redis://localhost:6379/0")

    assert done.returncode == 1
    assert "CELERY_BROKER_URL begins with redis://" in done.stderr
    assert "pip install redis" in done.stderr


def test_probes_on_lambda_without_canaries_are_a_warning(tmp_path: Path) -> None:
    on_lambda = {
        "PROBE_ENGINE": "lambda",
        "UPTIME_REGIONS": "eu-central-1",
        "OBJECT_STORE_URL": "s3://bucket",
        "UPTIME_SITE_URL": "https://uptime.example.org",
    }

    without = check(tmp_path, **on_lambda)
    with_some = check(tmp_path, **on_lambda, UPTIME_CANARIES="https://canary.example.org/")

    assert (without.returncode, with_some.returncode) == (0, 0)
    assert "UPTIME_CANARIES is not set" in without.stderr
    assert "UPTIME_CANARIES" not in with_some.stderr


def test_what_cannot_work_on_lambda_stops_a_command(tmp_path: Path) -> None:
    done = check(tmp_path, PROBE_ENGINE="lambda")

    assert done.returncode == 1
    for variable in ("UPTIME_REGIONS is 'local'", "OBJECT_STORE_URL is", "UPTIME_INGEST_URL is"):
        assert variable in done.stderr
    assert done.stderr.count("because PROBE_ENGINE is lambda") == 3
    assert "Traceback" not in done.stderr
