"""The guarded POST: what it refuses, and that the whole attempt is bounded."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import pytest

from alerts.transports import http
from alerts.transports.base import Failed, Sent
from tests.receiver import Answer, Receiver, drip, endless, hang

NOW = datetime(2026, 11, 23, 4, 30, tzinfo=UTC)


def post(url: str, *, total_s: float = 0.5) -> Sent | Failed:
    return http.post(
        url, body=b"{}", headers={"content-type": "application/json"}, now=NOW, total_s=total_s
    )


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:PORT/hook",
        "http://localhost:PORT/hook",
        "http://[::1]:PORT/hook",
        "http://[::ffff:127.0.0.1]:PORT/hook",
        "http://169.254.169.254/latest/meta-data/",
    ],
)
def test_nothing_private_is_reached(url: str, settings: Any) -> None:
    settings.ALLOW_NETWORKS = ()
    with Receiver() as receiver:
        outcome = post(url.replace("PORT", str(receiver.port)))
        assert isinstance(outcome, Failed)
        assert (outcome.status, outcome.permanent, outcome.gone) == ("blocked", True, False)
        assert receiver.received == []


def test_a_path_in_any_script_arrives_percent_encoded(settings: Any) -> None:
    with Receiver() as receiver:
        receiver.answers(Answer())
        assert isinstance(post(receiver.url("/haken/grüße?q=日")), Sent)
        assert len(receiver.of("/haken/gr%C3%BC%C3%9Fe?q=%E6%97%A5")) == 1


def test_a_redirect_is_not_followed(settings: Any) -> None:
    with Receiver() as receiver:
        receiver.answers(Answer(307, b"", {"Location": receiver.url("/elsewhere")}))
        outcome = post(receiver.url())
        assert isinstance(outcome, Failed)
        assert (outcome.status, outcome.permanent) == ("307", False)
        assert receiver.of("/elsewhere") == []


@pytest.mark.parametrize("fault", [hang, drip])
def test_the_whole_attempt_is_bounded(fault: Any) -> None:
    with Receiver() as receiver:
        receiver.answers(fault)
        began = time.monotonic()
        outcome = post(receiver.url(), total_s=0.3)
        assert time.monotonic() - began < 3
    assert outcome == Failed(
        permanent=False, status="timeout", answer="No complete answer within 0.3 s."
    )


def test_no_more_than_four_kilobytes_of_an_answer_are_read() -> None:
    with Receiver() as receiver:
        receiver.answers(endless)
        outcome = post(receiver.url(), total_s=5)
    assert outcome == Sent(status="200", answer="x" * 4_096)


def test_the_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:19998")
    with Receiver() as receiver:
        assert isinstance(post(receiver.url()), Sent)
        assert receiver.received[0].headers["host"] == f"127.0.0.1:{receiver.port}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("Mon, 23 Nov 2026 04:31:00 GMT", 60.0),
        ("Mon, 23 Nov 2026 04:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("9" * 400, 999_999_999.0),
        ("Mon, 99 Nov 2026 04:31:00 GMT", None),
    ],
)
def test_both_forms_of_retry_after(value: str, expected: float | None) -> None:
    assert http.read_retry_after(value, NOW) == expected


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_two_hundreds_are_success(status: int) -> None:
    assert isinstance(http.judge(status, b"", retry_after_s=None), Sent)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 429, 500, 503])
def test_all_else_is_failure_and_only_gone_is_for_ever(status: int) -> None:
    outcome = http.judge(status, b"", retry_after_s=None)
    assert isinstance(outcome, Failed)
    assert outcome.permanent == outcome.gone == (status == 410)
