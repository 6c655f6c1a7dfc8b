"""Times, durations and lines as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alerts.wording import because, duration, moment, one_line, zone_of


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", "23 Nov 2026, 23:31:06 UTC"),
        ("Europe/Berlin", "24 Nov 2026, 00:31:06 CET (23 Nov 2026, 23:31:06 UTC)"),
        ("America/New_York", "23 Nov 2026, 18:31:06 EST (23:31:06 UTC)"),
        ("America/Sao_Paulo", "23 Nov 2026, 20:31:06 America/Sao_Paulo (23:31:06 UTC)"),
        (
            "Pacific/Kiritimati",
            "24 Nov 2026, 13:31:06 Pacific/Kiritimati (23 Nov 2026, 23:31:06 UTC)",
        ),
        ("Nowhere/Atlantis", "23 Nov 2026, 23:31:06 UTC"),
        ("../etc/passwd", "23 Nov 2026, 23:31:06 UTC"),
    ],
)
def test_moment_names_its_zone_and_utc(zone: str, expected: str) -> None:
    assert moment(datetime(2026, 11, 23, 23, 31, 6, tzinfo=UTC), zone_of(zone)) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (3_600, "1 h"),
        (3_601, "1 h"),
        (7_500, "2 h 5 min"),
        (273_600, "3 d 4 h"),
        (-5, "0 s"),
    ],
)
def test_duration(seconds: float, expected: str) -> None:
    assert duration(seconds) == expected


def test_one_line_is_safe_for_headers() -> None:
    assert one_line("a\r\nBcc: x@y\x00\u2028z", 100) == "a Bcc: x@y z"
    assert one_line("gpj\u202e.exe", 100) == "gpj.exe"
    assert one_line("x" * 300, 200) == "x" * 199 + "…"


def test_because() -> None:
    assert because("status", 503, outage=True) == "HTTP 503"
    assert because("timeout", None, outage=True) == "no answer in time"
    assert because("cert_expiry", None, outage=True) == "certificate expired"
    assert because("cert_expiry", None, outage=False) == "certificate near its end"
    assert because("none", 200, outage=False) == ""
    assert because("never heard of", None, outage=True) == ""
