"""What pages and API say of a heartbeat, to whom they show its address, and that the examples on the page work."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.template.loader import render_to_string
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from checks.heartbeats.page import heartbeat_fields, heartbeat_page
from checks.heartbeats.region import heartbeat_region
from checks.history.partitions import ensure_partitions
from checks.models import Check, Ping
from tests.checks.heartbeats.beats import MINUTE, NOON, beat_of, call, heartbeat, state_of
from tests.making import make_check
from tests.regions import local_region


def shown(check: Check, *, may_edit: bool = True, now: datetime = NOON) -> str:
    found = heartbeat_page(check.client, check, may_edit=may_edit, now=now)
    parts = ("heartbeats/detail_parts.html", "heartbeats/address.html")
    return "".join(render_to_string(part, {"heartbeat": found, "now": now}) for part in parts)


def example(page: str, name: str) -> str:
    found = re.search(rf'id="{name}".*?<pre[^>]*>(.*?)</pre>', page, re.S)
    assert found is not None
    return html.unescape(found[1])


@pytest.mark.django_db
def test_a_new_one_says_what_to_do() -> None:
    page = shown(heartbeat())
    assert "No call yet. Nobody is alerted before the first one" in page
    assert "Every hour, with 5 minutes of grace" in page


@pytest.mark.django_db
def test_calls_are_listed_and_escaped() -> None:
    check = heartbeat()
    call(check, "start", at=NOON)
    call(check, at=NOON + MINUTE, body="<b>done</b>", exit_status=0, user_agent='"><script>')
    page = shown(check)
    assert "&lt;b&gt;done&lt;/b&gt;" in page
    assert "<script>" not in page
    assert "exit 0" in page
    assert "1 min" in page


@pytest.mark.django_db
def test_late_is_said_between_expected_and_due() -> None:
    check = heartbeat()
    call(check, at=NOON)
    late = "The call is late."
    assert late not in shown(check, now=NOON + 59 * MINUTE)
    assert late in shown(check, now=NOON + 61 * MINUTE)
    fields = heartbeat_fields(check.client, [check], may_edit=True, now=NOON + 61 * MINUTE)
    assert fields[check.pk]["late"] is True
    assert fields[check.pk]["due_at"] == NOON + 65 * MINUTE


@pytest.mark.django_db
def test_who_only_reads_does_not_see_the_key() -> None:
    check = heartbeat()
    key = beat_of(check).key
    assert key in shown(check)
    assert key not in shown(check, may_edit=False)
    assert "ping-key" not in shown(check, may_edit=False)
    for may_edit in (True, False):
        fields = heartbeat_fields(check.client, [check], may_edit=may_edit, now=NOON)
        assert (key in fields[check.pk]["ping_url"]) is may_edit


@pytest.mark.django_db
def test_other_kinds_have_none_of_it() -> None:
    check = make_check(heartbeat().client, local_region())
    assert heartbeat_page(check.client, check, may_edit=True, now=NOON) is None
    assert heartbeat_fields(check.client, [check], may_edit=True, now=NOON) == {}


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """In the place of the user's own: says something and fails with 3."""
    path = tmp_path / "backup.sh"
    path.write_text("#!/bin/sh\necho 'no space left'\nexit 3\n")
    path.chmod(0o755)
    return path


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
@pytest.mark.django_db(transaction=True)
def test_the_examples_of_the_page_work(live_server: LiveServer, settings: Any, job: Path) -> None:
    settings.SITE_URL = live_server.url
    ensure_partitions(now=timezone.now())
    heartbeat_region()
    check = heartbeat()
    page = shown(check)
    cron = example(page, "ping-cron").split(" ", 5)[5]
    for text in (cron, example(page, "ping-bash")):
        command = text.replace("/usr/local/bin/backup.sh", str(job))
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60
        )
        assert (done.returncode, done.stderr) == (0, "")
    python = "def backup() -> None: pass\n" + example(page, "ping-python")
    subprocess.run([sys.executable, "-c", python], check=True, timeout=60)

    pings = Ping.objects.for_client(check.client).filter(subject=check).order_by("number")
    told = [(ping.kind, ping.exit_status, ping.body) for ping in pings]
    assert told == [
        ("fail", 3, ""),
        ("start", None, ""),
        ("fail", 3, "no space left"),
        ("start", None, ""),
        ("success", None, ""),
    ]
    assert [ping.duration_ms is not None for ping in pings] == [False, False, True, False, True]
    assert state_of(check) == "up"
