"""The ping address over HTTP: every form of a call, every refusal, and what must never be shown or kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test import Client as Browser
from django.test import RequestFactory
from pytest_django.fixtures import DjangoAssertNumQueries

from checks.heartbeats.calls import CALLS_A_MINUTE
from checks.heartbeats.keys import new_key, own_key
from checks.models import Check, Ping
from tests.checks.heartbeats.beats import NOON, beat_of, heartbeat, state_of
from tests.conftest import Personas
from uptime.ping_log import HidePingKeys
from uptime.wsgi import application

UNKNOWN = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
def check(personas: Personas) -> Check:
    return heartbeat(personas.client)


@pytest.fixture
def browser() -> Browser:
    """As strict as the outside world: with CSRF checks, and no cookies."""
    return Browser(enforce_csrf_checks=True, raise_request_exception=False)


def newest(check: Check) -> Ping:
    return Ping.objects.for_client(check.client).filter(subject=check).latest("number")


def path(check: Check, tail: str = "") -> str:
    return f"/ping/{beat_of(check).key}{tail}"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize(
    ("tail", "kind", "status"),
    [
        ("", "success", None),
        ("/", "success", None),
        ("/start", "start", None),
        ("/fail", "fail", None),
        ("/log", "log", None),
        ("/0", "success", 0),
        ("/3", "fail", 3),
        ("/255", "fail", 255),
        ("/start/?rid=4.a-b", "start", None),
    ],
)
def test_every_form_of_a_call(
    check: Check, browser: Browser, method: str, tail: str, kind: str, status: int | None
) -> None:
    answer = browser.generic(method, path(check, tail), headers={"User-Agent": "curl/8.5"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    assert answer.content == (b"" if method == "HEAD" else b"OK\n")
    assert not answer.cookies
    ping = newest(check)
    assert (ping.kind, ping.exit_status, ping.method) == (kind, status, method)
    assert (ping.remote_address, ping.user_agent) == ("127.0.0.1", "curl/8.5")
    assert ping.run == ("4.a-b" if "rid" in tail else "")


@pytest.mark.parametrize(
    ("method", "tail", "status"),
    [
        ("PUT", "", 405),
        ("DELETE", "", 405),
        ("OPTIONS", "", 405),
        ("GET", "/256", 400),
        ("GET", "/-1", 400),
        ("GET", "/٣", 400),
        ("GET", "/stop", 400),
        ("GET", "/start/start", 400),
        ("GET", "?rid=a%20b", 400),
        ("GET", "?rid=", 400),
        ("GET", "?rid=a&rid=b", 400),
        ("POST", "/start?rid=a&rid=a", 400),
        ("GET", "?rid=" + "a" * 65, 400),
        ("GET", "?rid=%00", 400),
    ],
)
def test_what_is_no_call_is_refused_and_leaves_no_trace(
    check: Check, browser: Browser, method: str, tail: str, status: int
) -> None:
    answer = browser.generic(method, path(check, tail))
    assert answer.status_code == status
    assert answer["Content-Type"].startswith("text/plain")
    assert beat_of(check).pings == 0


@pytest.mark.parametrize(
    "key", [UNKNOWN, UNKNOWN.replace("-", ""), "x", "..", "%00", "' or 1=1", "a" * 5000, "/"]
)
def test_an_unknown_key_is_answered_in_one_form(db: None, browser: Browser, key: str) -> None:
    answer = browser.get(f"/ping/{key}/fail")
    assert (answer.status_code, answer.content) == (404, b"There is no such address.\n")


def test_a_key_in_capitals_is_the_same_key(check: Check, browser: Browser) -> None:
    assert browser.get(f"/ping/{beat_of(check).key.upper()}").status_code == 200


def test_the_body_is_kept_up_to_its_limit_and_made_storable(check: Check, browser: Browser) -> None:
    body = b"<script>alert(1)</script>\0\xff" + b"x" * 20_000
    answer = browser.generic("POST", path(check), body, content_type="application/octet-stream")
    assert answer.status_code == 200
    kept = newest(check).body
    assert kept.startswith("<script>alert(1)</script>��xxx")
    assert len(kept) == 10_000


def test_a_body_that_ends_too_early_is_no_call(check: Check, browser: Browser) -> None:
    """Whoever went away in the middle has not said what happened."""
    browser.get("/ping/x")  # the addresses are loaded, as in a server that runs
    said: list[str] = []
    environ = RequestFactory().post(path(check)).environ
    environ |= {"CONTENT_LENGTH": "50", "wsgi.input": BytesIO(b"half of")}
    answer = application(environ, lambda status, _: said.append(status))
    assert said == ["400 Bad Request"]
    assert b"".join(answer) == b"The body could not be read to its end.\n"
    assert beat_of(check).pings == 0


def test_a_form_is_a_body_like_any_other(check: Check, browser: Browser) -> None:
    answer = browser.post(path(check), {"note": "done"})
    assert answer.status_code == 200
    assert "done" in newest(check).body


def test_too_many_calls_say_when_to_come_back(check: Check, browser: Browser) -> None:
    with time_machine.travel(NOON, tick=False):
        for _ in range(CALLS_A_MINUTE):
            assert browser.get(path(check, "/log")).status_code == 200
        answer = browser.get(path(check))
    assert (answer.status_code, answer["Retry-After"]) == (429, "60")


@pytest.mark.django_db(transaction=True)
def test_without_the_database_the_job_is_asked_to_call_again(browser: Browser) -> None:
    host, port = (connection.settings_dict[name] for name in ("HOST", "PORT"))
    connection.close()
    connection.settings_dict.update(HOST="127.0.0.1", PORT="1")
    try:
        answer = browser.get(f"/ping/{UNKNOWN}")
    finally:
        connection.settings_dict.update(HOST=host, PORT=port)
    assert (answer.status_code, answer["Retry-After"]) == (503, "5")


def test_a_call_costs_a_bounded_number_of_queries(
    check: Check, browser: Browser, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    browser.get(path(check))
    with django_assert_max_num_queries(20):
        browser.get(path(check))


def test_our_own_key_is_answered_and_logs_nothing(db: None, browser: Browser) -> None:
    assert browser.get(f"/ping/{own_key()}").content == b"OK\n"
    assert not Ping.objects.across_clients().exists()


def test_no_key_reaches_a_log(check: Check, browser: Browser) -> None:
    """Django names the path of what it answers with 4xx and 5xx, the web server that of every request."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(HidePingKeys())
    logging.getLogger("django.request").addHandler(handler)
    try:
        browser.put(path(check))
        browser.get(path(check, "/stop"))
    finally:
        logging.getLogger("django.request").removeHandler(handler)
    assert "/ping/(key)" in stream.getvalue()
    assert beat_of(check).key not in stream.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "GET /ping//{} HTTP/1.1",
        "GET /Ping/{}/fail",
        "GET /ping/x/{}",
        "GET /ping/%20{}",
        "GET /ping?key={}",
        "GET /%70ing/{}",
        "GET /ping%2f{}",
        "GET /elsewhere Referer: https://uptime.test/x#{}",
        "POST /ping/{0}?again={0}",
    ],
)
def test_no_line_of_a_log_holds_a_key_wherever_it_stands(line: str) -> None:
    """A typing error in the address makes it no other secret."""
    key = new_key()
    for each in (
        key,
        key.upper(),
        key.replace("-", ""),
        key.replace("-", "%2D"),
        key.replace("-", "%252d"),
        "".join(f"%{ord(letter):02x}" for letter in key),
    ):
        record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (line.format(each),), None)
        HidePingKeys().filter(record)
        shown = record.getMessage()
        assert "(key)" in shown
        assert each not in shown
        assert shown.split()[0] == line.split()[0]


def test_a_key_in_a_stack_trace_is_hidden_too() -> None:
    key, stream = new_key(), StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(HidePingKeys())
    logger = logging.Logger("x")
    logger.addHandler(handler)
    try:
        raise ValueError(key)
    except ValueError:
        logger.exception("failed")
    assert "ValueError: (key)" in stream.getvalue()


def test_other_lines_stay_as_they_are() -> None:
    line = "2026-11-23 checks.pipeline sha 0f3a-11 check 12345678 took 1 ms"
    record = logging.LogRecord("x", logging.INFO, "", 0, "%s", (line,), None)
    HidePingKeys().filter(record)
    assert (record.msg, record.args) == ("%s", (line,))


@pytest.mark.parametrize("name", ["gunicorn.access", "gunicorn.error"])
def test_the_web_servers_logs_are_watched(check: Check, name: str) -> None:
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        logger.info(
            '%(h)s "%(r)s" %(s)s', {"h": "::1", "r": f"GET {path(check, '/fail')}", "s": 200}
        )
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue() == '::1 "GET /ping/(key)/fail" 200\n'


def test_the_database_holds_the_key_only_encrypted(check: Check) -> None:
    key = beat_of(check).key
    with connection.cursor() as cursor:
        cursor.execute("select h::text from checks_heartbeat h")
        assert key not in str(cursor.fetchall())


def test_the_key_is_changed_by_editors_on_a_page_that_asks_first(
    personas: Personas, check: Check, browse: Callable[[Any], Browser], browser: Browser
) -> None:
    old, page = path(check), f"/checks/{check.pk}/ping-key/"
    assert browse(personas.viewer).post(page).status_code == 403
    assert browse(personas.stranger).post(page).status_code == 404
    assert browse(personas.editor).get(page).status_code == 200
    assert browser.get(old).status_code == 200
    assert browse(personas.editor).post(page).status_code == 302
    assert browser.get(old).status_code == 404
    assert browser.get(path(check)).status_code == 200
    assert state_of(check) == "up"
