"""Nudges on AWS Lambda leave before the answer: once for each job, to the function itself, and never in the way."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.signals import request_finished

from checks.signals import delivery_due, recheck_due
from uptime.lambda_nudges import LambdaNudges

FUNCTION = "uptime-production"


class LambdaApi:
    """The Invoke API on loopback: keeps what was invoked, and answers as it is told to."""

    def __init__(self) -> None:
        self.invoked: list[dict[str, Any]] = []
        self.status = 202
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                kind = self.headers["X-Amz-Invocation-Type"]
                api.invoked.append({"path": self.path, "type": kind, "payload": json.loads(body)})
                self.send_response(api.status)
                self.send_header("Content-Length", "0")
                self.end_headers()
                self.close_connection = True  # unannounced, as when a frozen one is closed

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def commands(self) -> list[str]:
        return [each["payload"]["command"] for each in self.invoked]


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[LambdaApi]:
    api = LambdaApi()
    threading.Thread(target=api.server.serve_forever, daemon=True).start()
    for name, value in {
        "AWS_ENDPOINT_URL_LAMBDA": api.url,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
    }.items():
        monkeypatch.setenv(name, value)
    yield api
    api.server.shutdown()
    api.server.server_close()


@pytest.fixture
def nudges(api: LambdaApi) -> Iterator[LambdaNudges]:
    """Connected beside the Celery form, and taken out again."""
    nudges = LambdaNudges(FUNCTION)
    pairs = [
        (recheck_due, nudges.ask_recheck),
        (delivery_due, nudges.ask_delivery),
        (request_finished, nudges.send),
    ]
    for signal, receiver in pairs:
        signal.connect(receiver)
    yield nudges
    for signal, receiver in pairs:
        signal.disconnect(receiver)


def test_a_request_starts_each_job_once_however_many_asked(
    api: LambdaApi, nudges: LambdaNudges
) -> None:
    for _ in range(50):
        recheck_due.send(sender=None)
        delivery_due.send(sender=None)
    assert api.invoked == []  # the request may still roll on

    request_finished.send(sender=None)

    assert sorted(api.commands()) == ["uptime.jobs.deliver", "uptime.jobs.recheck"]
    for each in api.invoked:
        assert each["path"] == f"/2015-03-31/functions/{FUNCTION}/invocations"
        assert each["type"] == "Event"


def test_a_request_without_news_starts_nothing(api: LambdaApi, nudges: LambdaNudges) -> None:
    delivery_due.send(sender=None)
    request_finished.send(sender=None)
    request_finished.send(sender=None)

    assert api.commands() == ["uptime.jobs.deliver"]


def test_a_refused_nudge_is_one_line_in_the_log(
    api: LambdaApi, nudges: LambdaNudges, caplog: pytest.LogCaptureFixture
) -> None:
    api.status = 403
    recheck_due.send(sender=None)
    delivery_due.send(sender=None)
    with caplog.at_level(logging.WARNING):
        request_finished.send(sender=None)

    assert len(api.invoked) == 1  # the other one would be refused just so
    assert "uptime.jobs.deliver was not nudged" in caplog.text
    api.status = 202
    delivery_due.send(sender=None)
    request_finished.send(sender=None)
    assert api.commands()[1:] == ["uptime.jobs.deliver"]


def test_a_connection_that_died_in_a_freeze_is_replaced(
    api: LambdaApi, nudges: LambdaNudges
) -> None:
    delivery_due.send(sender=None)
    request_finished.send(sender=None)
    delivery_due.send(sender=None)
    request_finished.send(sender=None)

    assert api.commands() == ["uptime.jobs.deliver"] * 2


_ON_LAMBDA = """
import django
django.setup()
from django.core.signals import request_finished
from checks.signals import delivery_due
delivery_due.send(sender=None)
request_finished.send(sender=None)
import sys, threading
print([thread.name for thread in threading.enumerate() if thread.name.startswith("nudge-")])
print("uptime.celery" in sys.modules)
"""


def test_the_function_of_the_site_nudges_itself(
    api: LambdaApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", FUNCTION)
    monkeypatch.setenv("DJANGO_SETTINGS_MODULE", "uptime.settings")
    done = subprocess.run(
        [sys.executable, "-c", _ON_LAMBDA], capture_output=True, text=True, check=False
    )

    assert done.stdout.split() == ["[]", "False"], done.stderr
    assert api.commands() == ["uptime.jobs.deliver"]
