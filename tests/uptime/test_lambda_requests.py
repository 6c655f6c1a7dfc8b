"""What Zappa makes of an event is corrected before the application sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from uptime.lambda_requests import LambdaRequests


def seen(**extra: Any) -> dict[str, Any]:
    """The environ that reaches the application behind."""
    found: list[dict[str, Any]] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        found.append(environ)
        return []

    event = {"requestContext": {"http": {"sourceIp": "198.51.100.7"}}}
    LambdaRequests(application=application)({"lambda.event": event, **extra}, None)  # type: ignore[arg-type]
    return found[0]


def test_the_address_is_where_the_connection_came_from_whatever_the_caller_adds() -> None:
    forged = "203.0.113.9, 198.51.100.7"
    assert seen(HTTP_X_FORWARDED_FOR=forged, REMOTE_ADDR="203.0.113.9")["REMOTE_ADDR"] == (
        "198.51.100.7"
    )


def test_a_caller_cannot_say_that_it_spoke_plain_http() -> None:
    assert seen(HTTP_X_FORWARDED_PROTO="http")["HTTP_X_FORWARDED_PROTO"] == "https"


def test_a_chunked_body_is_as_long_as_the_event_says() -> None:
    environ = seen(HTTP_TRANSFER_ENCODING="chunked", CONTENT_LENGTH="7")
    assert "HTTP_TRANSFER_ENCODING" not in environ
    assert environ["CONTENT_LENGTH"] == "7"
