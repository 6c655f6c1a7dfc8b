"""PURE: numbers to the words people read: durations, sizes, counts and uptime that is never rounded up (hop 10)."""

from __future__ import annotations

from decimal import ROUND_FLOOR, Decimal

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400


def format_ms(milliseconds: float | None) -> str:
    """342 ms, 1.24 s, 12.4 s; a dash where nothing was measured."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1:
        return "<1 ms" if milliseconds > 0 else "0 ms"
    if round(milliseconds) < 1_000:
        return f"{round(milliseconds)} ms"
    seconds = milliseconds / 1_000
    return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"


def format_us(microseconds: float | None) -> str:
    return format_ms(None if microseconds is None else microseconds / 1_000)


def format_duration(seconds: float | None) -> str:
    """At most two units, rounded down: 45 s, 12 min, 2 h 5 min, 3 d 4 h."""
    if seconds is None:
        return "–"
    whole = max(0, int(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _HOUR:
        minutes, rest = divmod(whole, _MINUTE)
        return f"{minutes} min {rest} s" if minutes < 5 and rest else f"{minutes} min"
    if whole < _DAY:
        hours, rest = divmod(whole, _HOUR)
        return f"{hours} h {rest // _MINUTE} min" if rest >= _MINUTE else f"{hours} h"
    days, rest = divmod(whole, _DAY)
    return f"{days} d {rest // _HOUR} h" if rest >= _HOUR and days < 30 else f"{days} d"


def format_interval(seconds: int) -> str:
    """An interval as a rhythm: every 30 seconds, every minute, every 2 hours."""
    for size, word in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= size and seconds % size == 0:
            count = seconds // size
            return f"every {word}" if count == 1 else f"every {count} {word}s"
    return "every second" if seconds == 1 else f"every {seconds} seconds"


def format_bytes(count: int | None) -> str:
    if count is None:
        return "–"
    if count < 1_000:
        return f"{count} B"
    size = float(count)
    for unit in ("kB", "MB", "GB"):
        size /= 1_000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1_000:.1f} TB"


def format_count(count: int, singular: str, plural: str | None = None) -> str:
    """1 check, 3 checks, 1,204 checks."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def format_share(fraction: float, decimals: int) -> str:
    """A share as per cent, rounded down: 0.99999 with two decimals is 99.99 %, never 100 %."""
    # repr gives the shortest digits that mean this float, so 0.57 stays 57 and does not become 56.99.
    percent = Decimal(repr(float(fraction))) * 100
    floored = percent.quantize(Decimal(1).scaleb(-decimals), rounding=ROUND_FLOOR)
    return "100 %" if floored >= 100 else f"{floored} %"


def format_uptime_figure(fraction: float | None) -> str:
    """The number alone: two decimals, three above 99.9 %; 100 % only when nothing was bad."""
    if fraction is None:
        return "No data"
    bounded = min(1.0, max(0.0, fraction))
    return format_share(bounded, 3 if bounded > 0.999 else 2)


def format_coverage(coverage: float | None) -> str:
    if coverage is None:
        return "nothing measured yet"
    return f"{format_share(min(1.0, max(0.0, coverage)), 1)} of slots measured"


def format_uptime(fraction: float | None, coverage: float | None) -> str:
    """Uptime as it is always printed, beside its coverage: "99.95 %, 99.8 % of slots measured"."""
    if fraction is None:
        return "No data"
    return f"{format_uptime_figure(fraction)}, {format_coverage(coverage)}"
