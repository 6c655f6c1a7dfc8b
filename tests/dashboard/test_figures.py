"""Figures in words: nothing is rounded in our own favour."""

from __future__ import annotations

import pytest

from dashboard.figures import (
    format_bytes,
    format_count,
    format_duration,
    format_interval,
    format_ms,
    format_uptime,
    format_uptime_figure,
)


@pytest.mark.parametrize(
    ("fraction", "words"),
    [
        (1.0, "100 %"),
        (0.9999999, "99.999 %"),
        (0.99999, "99.999 %"),
        (0.9995, "99.950 %"),
        (0.999, "99.90 %"),
        (0.99899, "99.89 %"),
        (0.57, "57.00 %"),
        (0.0, "0.00 %"),
        (None, "No data"),
    ],
)
def test_uptime_is_rounded_down(fraction: float | None, words: str) -> None:
    assert format_uptime_figure(fraction) == words


def test_uptime_is_printed_with_its_coverage() -> None:
    assert format_uptime(0.9995, 0.998) == "99.950 %, 99.8 % of slots measured"
    assert format_uptime(1.0, 0.99999) == "100 %, 99.9 % of slots measured"
    assert format_uptime(None, None) == "No data"
    assert format_uptime(1.0, None) == "100 %, nothing measured yet"


def test_durations_and_sizes() -> None:
    assert [format_ms(v) for v in (None, 0, 0.4, 342.4, 999.6, 1_240, 12_400)] == [
        "–",
        "0 ms",
        "<1 ms",
        "342 ms",
        "1.00 s",
        "1.24 s",
        "12.4 s",
    ]
    assert [format_duration(v) for v in (0, 45, 64, 720, 7_500, 277_200, 40 * 86_400)] == [
        "0 s",
        "45 s",
        "1 min 4 s",
        "12 min",
        "2 h 5 min",
        "3 d 5 h",
        "40 d",
    ]
    assert [format_interval(v) for v in (30, 60, 300, 3_600, 86_400)] == [
        "every 30 seconds",
        "every minute",
        "every 5 minutes",
        "every hour",
        "every day",
    ]
    assert [format_bytes(v) for v in (None, 12, 1_500, 2_000_000)] == [
        "–",
        "12 B",
        "1.5 kB",
        "2.0 MB",
    ]
    assert [format_count(v, "check") for v in (1, 1_204)] == ["1 check", "1,204 checks"]
