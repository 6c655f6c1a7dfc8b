"""Bodies of requests as clients really send them, to the web server that installations run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection

import pytest
from django.db import connection
from django.utils import timezone

from checks.models import Ping
from clients.apikeys import create_key
from tests.checks.heartbeats.beats import beat_of, heartbeat
from tests.conftest import Personas
from tests.making import make_check
from uptime.bodies import MOST_BYTES, MOST_OF_A_CALL

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(scope="module")
def port(django_db_setup: None) -> Iterator[int]:
    """Where the product answers, over the tests' database."""
    place = connection.settings_dict
    url = (
        f"postgresql://{place['USER']}:{place['PASSWORD']}@/{place['NAME']}?host={place['HOST']}"
        f"&port={place['PORT']}"
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.set_inheritable(True)
        found = listening.getsockname()[1]
        env = {
            **os.environ,
            "DATABASE_URL": url,
            "DJANGO_SETTINGS_MODULE": "uptime.settings",
            "UPTIME_SITE_URL": f"http://127.0.0.1:{found}",
        }
        command = (f"from uptime.embedded.parts import run_web; run_web({listening.fileno()})",)
        process = subprocess.Popen(
            [sys.executable, "-c", *command], env=env, pass_fds=(listening.fileno(),)
        )
        yield found
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def send(port: int, method: str, path: str, body: object, **headers: str) -> tuple[int, bytes]:
    """Status and body of the answer to a body in pieces (a tuple) or with its length (bytes)."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as http:
        http.request(method, path, body, headers, encode_chunked=isinstance(body, tuple))  # type: ignore[arg-type]
        answer = http.getresponse()
        return answer.status, answer.read()


CHUNKED = {"Transfer-Encoding": "chunked"}


def test_a_chunked_change_is_made(port: int, personas: Personas) -> None:
    check = make_check(personas.client, personas.region, name="before")
    key = create_key(
        client=personas.client, actor=None, now=timezone.now(), name="ci", scopes=["read", "write"]
    )
    body = (b'{"name": ', b'"after"}')
    headers = {"Authorization": f"Bearer {key.plain}", "Content-Type": "application/json"}
    status, said = send(port, "PATCH", f"/api/v1/checks/{check.pk}", body, **headers, **CHUNKED)
    assert status == 200
    assert json.loads(said)["name"] == "after"


def test_a_chunked_log_of_a_job_is_kept_and_a_long_one_cut(port: int) -> None:
    check = heartbeat()
    path = f"/ping/{beat_of(check).key}/log"
    assert send(port, "POST", path, (b"one ", b"two"), **CHUNKED)[0] == 200
    assert send(port, "POST", path, b"x" * (MOST_OF_A_CALL + 9))[0] == 200
    assert send(port, "POST", path, (b"y" * MOST_OF_A_CALL, b"y"), **CHUNKED)[0] == 200
    kept = Ping.objects.for_client(check.client).filter(subject=check).order_by("number")
    assert [ping.body[:8] for ping in kept] == ["one two", "x" * 8, "y" * 8]
    assert [len(ping.body) for ping in kept] == [7, MOST_OF_A_CALL, MOST_OF_A_CALL]


def test_a_body_that_nobody_takes_is_refused(port: int) -> None:
    most = f"The body is larger than {MOST_BYTES} bytes."
    status, said = send(port, "POST", "/api/v1/checks", (b" " * (MOST_BYTES + 1),), **CHUNKED)
    assert (status, json.loads(said)["detail"]) == (413, most)
    stated = {"Content-Length": str(MOST_BYTES + 1)}
    assert send(port, "POST", "/accounts/login/", b"", **stated) == (413, f"{most}\n".encode())


@pytest.mark.slow
def test_slow_clients_stop_nobody_for_long(port: int) -> None:
    """More of them than a web server has threads: half never end the head, half send no body."""
    head = b"POST /api/v1/checks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99\r\n"
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(40)]
    try:
        for at, each in enumerate(slow):
            each.sendall(head + (b"\r\n{" if at % 2 else b""))
        began = time.monotonic()
        assert send(port, "GET", "/api/v1/me/", None)[0] == 401
        assert time.monotonic() - began < 35
        slow[1].settimeout(40)
        answer = slow[1].recv(4_096)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"application/problem+json" in answer
        slow[0].settimeout(40)
        assert slow[0].recv(4_096) == b""
    finally:
        for each in slow:
            each.close()
