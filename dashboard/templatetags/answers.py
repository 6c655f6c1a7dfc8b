"""What templates say of a check's target, and of what it answered (hop 10)."""

from __future__ import annotations

from django import template
from django.utils import timezone
from django.utils.safestring import SafeString, mark_safe

from checks.targets import target_words
from dashboard import figures, verdicts
from dashboard.phases import Phases, waterfall
from fanout_lambdas.shared.contracts import Result

register = template.Library()
register.filter("assertion_word", verdicts.assertion_word)
register.filter("target", target_words)


@register.filter
def kind_icon(kind: str) -> str:
    """The name of the icon of a kind of check."""
    return f"kind-{kind}"


@register.simple_tag
def waterfall_of(result: Result) -> SafeString:
    """The phases of a result that was not stored."""
    known = result.phases
    dns, connect, tls, send, wait, receive = (
        (value or 0) / 1_000
        for value in (
            *(known.dns_us, known.connect_us, known.tls_us),
            *(known.send_us, known.wait_us, known.receive_us),
        )
    )
    phases = Phases(dns=dns, connect=connect, tls=tls, wait=send + wait, receive=receive)
    return mark_safe(waterfall(phases).svg) if phases.total else mark_safe("")


@register.filter
def expected_words(expected: str, kind: str) -> str:
    return verdicts.expected_words(kind, expected)


@register.filter
def got_words(got: str, kind: str) -> str:
    return verdicts.got_words(kind, got)


@register.filter
def days_left(second: int) -> str:
    """How long a certificate is still valid: "23 days left", "expired 2 days ago"."""
    left = second - int(timezone.now().timestamp())
    days = figures.format_count(abs(left) // 86_400, "day")
    return f"{days} left" if left > 0 else f"expired {days} ago"
