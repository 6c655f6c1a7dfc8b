"""The two clocks: Celery's schedule on machines of one's own, Zappa's events on Lambda; both call the same jobs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from uptime import schedule
from uptime.celery import app

PROJECT = Path(__file__).parents[2]
ON_LAMBDA = {
    "PROBE_ENGINE": "lambda",
    "UPTIME_REGIONS": "eu-central-1",
    "UPTIME_SITE_URL": "https://uptime.example.org",
    "OBJECT_STORE_URL": "s3://bucket",
}


def run(code: str, **values: str) -> subprocess.CompletedProcess[str]:
    """A fresh process with settings of its own, beside the database of the tests."""
    env = {**os.environ, "DJANGO_SETTINGS_MODULE": "uptime.settings", **values}
    argv = [sys.executable, "-c", code]
    return subprocess.run(
        argv, cwd=PROJECT, env=env, capture_output=True, text=True, check=False, timeout=60
    )


def called_by_events() -> set[str]:
    events = json.loads((PROJECT / "zappa_settings.json").read_text())["base"]["events"]
    return {event["function"] for event in events}


def test_with_probes_on_lambda_both_clocks_call_the_same_jobs() -> None:
    code = (
        "import django; django.setup(); import uptime.schedule; from uptime.celery import app; "
        "print(*(entry['task'] for entry in app.conf.beat_schedule.values()))"
    )
    done = run(code, **ON_LAMBDA)

    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == called_by_events()


def test_without_lambda_there_are_no_dead_letters_to_count() -> None:
    tasks = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert called_by_events() - tasks == {"uptime.jobs.dead_letters"}


def test_no_backlog_is_replayed_after_downtime() -> None:
    for name, entry in app.conf.beat_schedule.items():
        assert entry["task"] in app.tasks, name
        assert entry["options"]["queue"] == schedule.QUEUE == "jobs"
        assert 0 < entry["options"]["expires"] <= 600


WITHOUT_CELERY = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"celery", "kombu", "amqp", "billiard", "vine"}:
            raise ImportError(f"{name} is not installed")

sys.meta_path.insert(0, Absent())
import django
django.setup()
from uptime import jobs
from uptime.wsgi import application
jobs.deliver({"command": "uptime.jobs.deliver"}, None)
print("done")
"""


def test_on_lambda_site_and_jobs_need_no_celery() -> None:
    done = run(WITHOUT_CELERY, **ON_LAMBDA, DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")

    assert (done.returncode, done.stdout.strip()) == (0, "done"), done.stderr
    # And a job that cannot work says so in one line.
    assert "deliver: the database is away" in done.stderr
    assert "Traceback" not in done.stderr
