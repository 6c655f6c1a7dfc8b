"""What an HTTP answer must be like: one table of assertions, each with its verdict in the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from fanout_lambdas.patterns import compile_regex
from fanout_lambdas.patterns.limits import Allowance, OutOfTime
from fanout_lambdas.probe.content import Content
from fanout_lambdas.probe.evidence import scrub, secrets_of, storable
from fanout_lambdas.probe.json_rules import judge_json
from fanout_lambdas.probe.verdicts import Verdict, holds, lasting, latency, quoted, verdict
from fanout_lambdas.shared.contracts import (
    Certificate,
    HeaderRule,
    Probe,
    Reason,
    status_ranges,
)

_SHOWN = 200
_WITHOUT_BODY = frozenset({204, 304})


class Answer(NamedTuple):
    """The last answer of a chain, as assertions see it: its decoded body, the charset its
    Content-Type names, and its header lines in their order, names in any case."""

    http_status: int
    body: bytes | bytearray
    charset: str
    url: str
    total_us: int
    now: float
    certificate: Certificate | None
    headers: Sequence[tuple[bytes, bytes]] = ()


class _Case:
    """One answer under judgement, with what several rules share."""

    __slots__ = ("_secrets", "allowance", "answer", "content", "probe", "without_body")

    def __init__(self, probe: Probe, answer: Answer) -> None:
        self.probe = probe
        self.answer = answer
        self.content = Content(answer.body, answer.charset)
        self.allowance = Allowance()
        self._secrets: list[str] | None = None
        if answer.body:
            self.without_body = ""
        elif probe.method == "HEAD":
            self.without_body = "There is no body, as the method HEAD asks for none"
        elif answer.http_status in _WITHOUT_BODY:
            self.without_body = f"There is no body, as always with status {answer.http_status}"
        else:
            self.without_body = "The body is empty"

    def clean(self, text: str) -> str:
        """What the server said, fit to be stored: its words may be the client's own secrets."""
        if self._secrets is None:
            self._secrets = secrets_of(self.probe)
        return storable(scrub(text, self._secrets))


def judge(probe: Probe, answer: Answer) -> list[Verdict]:
    """All verdicts in the order of the table; every assertion is judged, none hides another.

    Never raises. No verdict quotes a secret of the probe out of what the server said.
    """
    verdicts = [_status(probe.expected_status, answer.http_status)]
    case: _Case | None = None
    for name, rule in RULES:
        if getattr(probe, name):
            if case is None:
                case = _Case(probe, answer)
            verdicts += rule(case)
    return verdicts


@lru_cache(maxsize=1_024)
def _status(terms: tuple[str, ...], got: int) -> Verdict:
    ok = any(low <= got <= high for low, high in status_ranges(terms))
    expected = ", ".join(terms)
    message = f"Status {got}, expected {expected}."
    return verdict("expected_status", expected, str(got), ok, Reason.STATUS, message)


def _expected_url(case: _Case) -> Iterable[Verdict]:
    expected, got = case.probe.expected_url or "", case.answer.url
    if _same_url(expected, got):
        return (holds("expected_url", expected, got),)
    got = case.clean(got)
    message = f"Ended at {got[:_SHOWN]}, expected {expected[:_SHOWN]}."
    return (verdict("expected_url", expected, got, False, Reason.REDIRECT, message),)


def _header(case: _Case) -> Iterable[Verdict]:
    for rule in case.probe.header:
        name = rule.name.lower().encode("ascii")
        # Several lines of one name are one list (RFC 9110 5.3).
        lines = [_line(value) for key, value in case.answer.headers if key.lower() == name]
        joined = ", ".join(lines) if lines else None
        got = "missing" if joined is None else case.clean(joined)
        try:
            if _header_holds(rule, joined, case.allowance):
                yield verdict("header", str(rule), got, True, Reason.NONE, "")
                continue
            shown = got if joined is None else quoted(got)
            message = f"The header {rule.name} is {shown}, expected {_expected(rule)}."
        except OutOfTime:
            message = f"The regular expression {quoted(rule.value)} {_TOO_SLOW}."
        yield verdict("header", str(rule), got, False, Reason.HEADER, message)


def _header_holds(rule: HeaderRule, got: str | None, allowance: Allowance) -> bool:
    """A missing header equals nothing, so `!=` holds."""
    match rule.op:
        case "exists":
            return got is not None
        case "absent":
            return got is None
        case "==":
            return got == rule.value
        case "!=":
            return got != rule.value
    return got is not None and compile_regex(rule.value).search(got.encode(), allowance)


def _keyword(case: _Case) -> Iterable[Verdict]:
    for word in case.probe.keyword:
        if case.content.holds(word):
            yield holds("keyword", word, "found")
        else:
            message = f"The keyword {quoted(word)} is missing."
            if case.without_body:
                message = f"{case.without_body}, so the keyword {quoted(word)} is missing."
            yield verdict("keyword", word, "not found", False, Reason.KEYWORD, message)


def _keyword_absent(case: _Case) -> Iterable[Verdict]:
    for word in case.probe.keyword_absent:
        if not case.content.holds(word):
            yield holds("keyword_absent", word, "not found")
        else:
            message = f"The forbidden keyword {quoted(word)} is there."
            yield verdict("keyword_absent", word, "found", False, Reason.KEYWORD, message)


def _regex(case: _Case) -> Iterable[Verdict]:
    for pattern in case.probe.regex:
        message = f"Nothing matches the regular expression {quoted(pattern)}."
        if case.without_body:
            message = f"{case.without_body}: nothing matches {quoted(pattern)}."
        yield _searched(case, "regex", pattern, True, message)


def _regex_absent(case: _Case) -> Iterable[Verdict]:
    for pattern in case.probe.regex_absent:
        message = f"The forbidden regular expression {quoted(pattern)} matches."
        yield _searched(case, "regex_absent", pattern, False, message)


def _searched(case: _Case, kind: str, pattern: str, wanted: bool, message: str) -> Verdict:
    try:
        found = compile_regex(pattern).search(case.content.utf8(), case.allowance)
    except OutOfTime:
        message = f"The regular expression {quoted(pattern)} {_TOO_SLOW}."
        return verdict(kind, pattern, "not known", False, Reason.REGEX, message)
    got = "found" if found else "not found"
    if found is wanted:
        return holds(kind, pattern, got)
    return verdict(kind, pattern, got, False, Reason.REGEX, message)


def _json(case: _Case) -> Iterable[Verdict]:
    for rule in case.probe.json:
        ok, got, message = judge_json(rule, case.content, case.allowance, case.clean)
        if case.without_body:
            message = f"{case.without_body}, expected JSON with {quoted(str(rule))}."
        yield verdict("json", str(rule), got, ok, Reason.JSON, message)


def _body_size(case: _Case) -> Iterable[Verdict]:
    # The contract has no reason of its own for it: like a missing keyword it is a text not as expected.
    least, got = case.probe.min_body_bytes or 0, len(case.answer.body)
    message = f"The body has {got} byte{'s' * (got != 1)}, expected {least} or more."
    if case.without_body:
        message = f"{case.without_body}, expected {least} bytes or more."
    yield verdict("min_body_bytes", str(least), str(got), got >= least, Reason.KEYWORD, message)


def _latency(case: _Case) -> Iterable[Verdict]:
    return latency(case.probe, case.answer.total_us)


def _certificate(case: _Case) -> Iterable[Verdict]:
    answer = case.answer
    if answer.url.startswith("https:"):
        least = case.probe.cert_min_days or 0
        yield lasting("cert_min_days", least, answer.certificate, answer.now)


# A new assertion is one function and one line here, under the probe's field that switches it on;
# the order decides which failure is named.
RULES: tuple[tuple[str, Callable[[_Case], Iterable[Verdict]]], ...] = (
    ("expected_url", _expected_url),
    ("header", _header),
    ("keyword", _keyword),
    ("keyword_absent", _keyword_absent),
    ("regex", _regex),
    ("regex_absent", _regex_absent),
    ("json", _json),
    ("min_body_bytes", _body_size),
    ("max_latency_ms", _latency),
    ("cert_min_days", _certificate),
)

_TOO_SLOW = "takes too long on this answer"


def _line(value: bytes) -> str:
    try:
        return value.decode("utf-8").strip()
    except UnicodeDecodeError:
        return value.decode("latin-1").strip()


def _expected(rule: HeaderRule) -> str:
    match rule.op:
        case "exists":
            return "any value"
        case "absent":
            return "none"
        case "matches":
            return f"a match of {quoted(rule.value)}"
        case "!=":
            return "another value"
    return quoted(rule.value)


def _same_url(expected: str, got: str) -> bool:
    # http://example.com and http://example.com/ are one place.
    return got == expected or got == expected.partition("#")[0] or got == expected + "/"
