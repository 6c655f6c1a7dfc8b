"""What answers are judged to be: each assertion with right, wrong and odd answers."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from backports import zstd
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_lambdas.patterns import check_patterns
from fanout_lambdas.probe.assertions import Answer, judge
from fanout_lambdas.probe.run import ProbeEngine
from fanout_lambdas.probe.verdicts import Verdict, worst
from fanout_lambdas.shared.contracts import (
    Certificate,
    ContractError,
    Outcome,
    Probe,
    Reason,
    Result,
    decode,
    encode,
)
from fanout_lambdas.shared.netguard import AllowList, Guard
from tests.targets import answer as answered
from tests.targets import replies, serve

NOW = 1_800_000_000.0
DAY = 86_400


def answer(body: bytes = b"all is well", **fields: Any) -> Answer:
    defaults: dict[str, Any] = {
        "http_status": 200,
        "charset": "utf-8",
        "url": "https://example.com/",
        "total_us": 123_400,
        "now": NOW,
        "certificate": Certificate(not_after=int(NOW) + 30 * DAY, issuer="CA", subject="x"),
    }
    return Answer(body=body, **(defaults | fields))


def asked(**fields: Any) -> Probe:
    return Probe.from_json({"check_id": 1, "slot": 0, "url": "https://example.com/"} | fields)


def only(probe: Probe, given: Answer) -> Verdict:
    """The verdict beside the status's."""
    first, second = judge(probe, given)
    assert first.assertion.kind == "expected_status"
    return second


@pytest.mark.parametrize(
    ("terms", "status", "ok"),
    [
        (["200-299"], 204, True),
        (["200-299"], 300, False),
        (["200", "404"], 404, True),
        (["200", "404"], 403, False),
        (["500-599"], 200, False),
    ],
)
def test_status(terms: list[str], status: int, ok: bool) -> None:
    (verdict,) = judge(asked(expected_status=terms), answer(http_status=status))
    assert verdict.assertion.ok is ok
    assert (verdict.assertion.expected, verdict.assertion.got) == (", ".join(terms), str(status))
    if not ok:
        assert (verdict.outcome, verdict.reason) == (Outcome.DOWN, Reason.STATUS)
        assert verdict.message == f"Status {status}, expected {', '.join(terms)}."


@pytest.mark.parametrize(
    ("word", "body", "charset", "found"),
    [
        ("well", b"all is well", "utf-8", True),
        ("Well", b"all is well", "utf-8", False),
        ("größe", "die größe".encode(), "utf-8", True),
        ("größe", "die größe".encode("latin-1"), "iso-8859-1", True),
        ("größe", "die größe".encode("latin-1"), "utf-8", False),
        ("größe", "die größe".encode("utf-16"), "utf-16", True),
        ("größe", "die größe".encode("utf-16-be"), "utf-16-be", True),
        ("größe", "die größe".encode("utf-16"), "utf-32", False),
        ("日本", "これは日本".encode("shift_jis"), "shift_jis", True),
        ("日本", "これは日本".encode("iso2022_jp"), "iso-2022-jp", True),
        ("€", "5 €".encode(), "latin-1", True),
        ("well", b"all is well", "no-such-charset", True),
        ("well", b"all is well", "zip", True),
        ("well", b"all is well", "punycode", True),
        ("well", b"all is well", "unicode_escape", True),
        ("well", b"all is well", "\0", True),
        ("well", b"", "utf-8", False),
        ("well", b"\xff\xfe\0 well", "utf-8", True),
    ],
)
def test_keywords(word: str, body: bytes, charset: str, found: bool) -> None:
    given = answer(body, charset=charset)
    present, absent = only(asked(keyword=[word]), given), only(asked(keyword_absent=[word]), given)
    assert present.assertion.ok is found
    assert absent.assertion.ok is not found
    assert present.assertion.got == absent.assertion.got == ("found" if found else "not found")
    assert (absent if found else present).reason is Reason.KEYWORD


@pytest.mark.parametrize(
    ("pattern", "body", "charset", "found"),
    [
        (r"is \w+$", b"all is well", "utf-8", True),
        ("^all", b"\xef\xbb\xbfall is well", "utf-8", True),
        ("gr(ö|oe)ße", "die größe".encode("latin-1"), "iso-8859-1", True),
        ("^die gr.ße$", "die größe".encode("utf-16"), "utf-16", True),
        ("WELL", b"all is well", "utf-8", False),
        (".", b"", "utf-8", False),
    ],
)
def test_regex(pattern: str, body: bytes, charset: str, found: bool) -> None:
    given = answer(body, charset=charset)
    present, absent = (
        only(asked(regex=[pattern]), given),
        only(asked(regex_absent=[pattern]), given),
    )
    assert present.assertion.ok is found
    assert absent.assertion.ok is not found
    assert (absent if found else present).reason is Reason.REGEX


def test_each_of_several_is_judged() -> None:
    verdicts = judge(
        asked(keyword=["all", "none", "well"], regex=["a.l", "z"], regex_absent=["a", "z"]),
        answer(http_status=500),
    )
    assert [each.assertion.ok for each in verdicts] == [
        False,
        *(True, False, True),
        *(True, False),
        *(False, True),
    ]
    assert worst(verdicts) is verdicts[0]


def test_a_catastrophic_regex_is_down_with_a_sentence() -> None:
    probe = asked(regex=["a[ab]{400}c"] * 20, regex_absent=["a[ab]{401}c"] * 20)
    began = time.thread_time()
    verdicts = judge(probe, answer(b"ab" * 500_000))
    assert time.thread_time() - began < 0.3
    assert not any(each.assertion.ok for each in verdicts[1:])
    assert verdicts[1].message == (
        "The regular expression “a[ab]{400}c” takes too long on this answer."
    )


HEADERS = (
    (b"Content-Type", b"text/html; charset=utf-8"),
    (b"X-Cache", b"MISS"),
    (b"vary", b"Accept "),
    (b"Vary", b"Cookie"),
    (b"x-name", "größe".encode()),
    (b"x-latin", "größe".encode("latin-1")),
    (b"x-empty", b""),
)


@pytest.mark.parametrize(
    ("name", "op", "value", "ok", "got"),
    [
        ("content-type", "==", "text/html; charset=utf-8", True, "text/html; charset=utf-8"),
        ("CONTENT-TYPE", "==", "text/html", False, "text/html; charset=utf-8"),
        ("X-Cache", "!=", "MISS", False, "MISS"),
        ("X-Cache", "!=", "HIT", True, "MISS"),
        ("X-Cache", "==", "miss", False, "MISS"),
        ("X-Cache", "matches", "^(?i)(hit|miss)$", True, "MISS"),
        ("X-Cache", "matches", "^HIT", False, "MISS"),
        ("Vary", "==", "Accept, Cookie", True, "Accept, Cookie"),
        ("Vary", "matches", "Cookie$", True, "Accept, Cookie"),
        ("X-Name", "==", "größe", True, "größe"),
        ("X-Latin", "==", "größe", True, "größe"),
        ("X-Empty", "exists", None, True, ""),
        ("X-Empty", "==", "", True, ""),
        ("X-Empty", "absent", None, False, ""),
        ("X-None", "exists", None, False, "missing"),
        ("X-None", "absent", None, True, "missing"),
        ("X-None", "==", "a", False, "missing"),
        ("X-None", "!=", "a", True, "missing"),
        ("X-None", "matches", ".*", False, "missing"),
    ],
)
def test_header(name: str, op: str, value: str | None, ok: bool, got: str) -> None:
    rule = {"name": name, "op": op} | ({} if value is None else {"value": value})
    verdict = only(asked(header=[rule]), answer(headers=HEADERS))
    assert (verdict.assertion.kind, verdict.assertion.ok) == ("header", ok)
    assert verdict.assertion.got == got
    assert verdict.assertion.expected.startswith(f"{name} {op}")
    if not ok:
        assert verdict.reason is Reason.HEADER
        assert verdict.message.startswith(f"The header {name} is ")


def test_header_message() -> None:
    probe = asked(header=[{"name": "X-Cache", "op": "matches", "value": "HIT"}])
    assert only(probe, answer(headers=HEADERS)).message == (
        "The header X-Cache is “MISS”, expected a match of “HIT”."
    )


@pytest.mark.parametrize(
    ("expected", "got", "ok"),
    [
        ("https://example.com", "https://example.com/", True),
        ("https://example.com/", "https://example.com/", True),
        ("https://example.com/a#b", "https://example.com/a", True),
        ("https://example.com/a", "https://example.com/b", False),
    ],
)
def test_expected_url(expected: str, got: str, ok: bool) -> None:
    verdict = only(asked(expected_url=expected), answer(url=got))
    assert verdict.assertion.ok is ok
    assert verdict.reason is (Reason.NONE if ok else Reason.REDIRECT)


@pytest.mark.parametrize(("least", "ok"), [(1, True), (11, True), (12, False)])
def test_body_size(least: int, ok: bool) -> None:
    verdict = only(asked(min_body_bytes=least), answer(b"x" * 11))
    assert (verdict.assertion.ok, verdict.assertion.got) == (ok, "11")
    if not ok:
        assert (verdict.outcome, verdict.reason) == (Outcome.DOWN, Reason.KEYWORD)
        assert verdict.message == "The body has 11 bytes, expected 12 or more."


def test_one_byte_is_said_in_the_singular() -> None:
    verdict = only(asked(min_body_bytes=2), answer(b"x"))
    assert verdict.message == "The body has 1 byte, expected 2 or more."


@pytest.mark.parametrize(
    ("method", "status", "words"),
    [
        ("HEAD", 200, "There is no body, as the method HEAD asks for none"),
        ("GET", 204, "There is no body, as always with status 204"),
        ("GET", 304, "There is no body, as always with status 304"),
        ("GET", 200, "The body is empty"),
    ],
)
def test_without_a_body(method: str, status: int, words: str) -> None:
    probe = asked(
        method=method,
        expected_status=["200-399"],
        keyword=["a"],
        keyword_absent=["a"],
        regex=["a*"],
        regex_absent=["a+"],
        json=[{"path": "$", "op": "absent"}],
        min_body_bytes=1,
    )
    verdicts = judge(probe, answer(b"", http_status=status))
    failed = [each for each in verdicts if not each.assertion.ok]
    assert [each.assertion.kind for each in failed] == ["keyword", "json", "min_body_bytes"]
    assert all(each.message.startswith(words) for each in failed)


@pytest.mark.parametrize(
    ("fields", "total_us", "outcome"),
    [
        ({}, 200_000, None),
        ({}, 200_001, Outcome.DEGRADED),
        ({"max_latency_outcome": "down"}, 900_000, Outcome.DOWN),
    ],
)
def test_latency(fields: dict[str, Any], total_us: int, outcome: Outcome | None) -> None:
    verdict = only(asked(max_latency_ms=200, **fields), answer(total_us=total_us))
    assert verdict.assertion.ok is (outcome is None)
    if outcome:
        assert (verdict.outcome, verdict.reason) == (outcome, Reason.LATENCY)


@pytest.mark.parametrize(
    ("days", "outcome"), [(30, None), (14, None), (13.9, Outcome.DEGRADED), (-1, Outcome.DOWN)]
)
def test_certificate_days(days: float, outcome: Outcome | None) -> None:
    certificate = Certificate(not_after=int(NOW + days * DAY), issuer="CA", subject="x")
    verdict = only(asked(cert_min_days=14), answer(certificate=certificate))
    assert verdict.assertion.kind == "cert_min_days"
    assert verdict.assertion.ok is (outcome is None)
    if outcome:
        assert (verdict.outcome, verdict.reason) == (outcome, Reason.CERT_EXPIRY)


def test_plain_http_has_no_certificate_to_judge() -> None:
    assert len(judge(asked(cert_min_days=14), answer(url="http://example.com/"))) == 1


def test_down_wins_over_degraded() -> None:
    probe = asked(max_latency_ms=1, cert_min_days=99, min_body_bytes=500)
    decides = worst(judge(probe, answer()))
    assert decides is not None
    assert decides.reason is Reason.KEYWORD


def test_no_verdict_quotes_a_secret() -> None:
    probe = asked(
        headers={"X-Api-Key": "k3y/with+signs", "Accept": "text/html"},
        auth={"type": "basic", "username": "bob", "password": "hunter2!"},
        body='{"pin": "7391-8264"}',
        method="POST",
        json=[{"path": f"$[{at}]", "op": "==", "value": "?"} for at in range(4)],
        header=[{"name": "X-Echo", "op": "==", "value": "?"}],
        expected_url="https://example.com/other",
    )
    texts = ["key k3y/with+signs", "x" * 110 + "hunter2!", "Ym9iOmh1bnRlcjIh", "pin 7391-8264"]
    given = answer(
        json.dumps(texts).encode(),
        headers=[(b"X-Echo", b"k3y%2Fwith%2Bsigns; text/html")],
        url="https://example.com/?key=k3y%2fwith%2bsigns",
    )
    verdicts = judge(probe, given)
    told = " ".join(f"{each.assertion.got} {each.message}" for each in verdicts)
    for secret in ("k3y", "with+signs", "hunter2", "Ym9iOmh1", "7391-8264"):
        assert secret not in told
    assert "text/html" in told
    assert told.count("[hidden]") >= 6


def test_all_assertions_fit_into_a_result() -> None:
    most = [f"x{at}" for at in range(20)]
    probe = asked(
        keyword=most,
        keyword_absent=most,
        regex=most,
        regex_absent=most,
        json=[{"path": f"$.{each}", "op": "exists"} for each in most],
        header=[{"name": each, "op": "exists"} for each in most],
        min_body_bytes=1,
        max_latency_ms=1,
        cert_min_days=1,
        expected_url="https://example.com/",
    )
    verdicts = judge(probe, answer())
    assert len(verdicts) == 125
    read_back(verdicts)


def read_back(verdicts: list[Verdict]) -> None:
    """What is judged can be sent, read and stored."""
    result = Result(
        check_id=1,
        slot=0,
        outcome=Outcome.UP,
        assertions=tuple(each.assertion for each in verdicts),
    )
    assert Result.from_json(decode(encode(result.to_json()))) == result
    for each in verdicts:
        each.message.encode("utf-8")
        assert each.assertion.ok or each.message.endswith(".")


@pytest.mark.parametrize("version", ["1", "2"])
def test_over_the_wire(version: str) -> None:
    body = json.dumps({"status": "ok", "version": version, "pad": "é" * 500}).encode()
    page = replies(
        answered(
            "200 OK",
            zstd.compress(body),
            "Content-Type: application/json",
            "Content-Encoding: zstd",
            f"X-Version: {version}",
        )
    )
    fields = {
        "url": "",
        "json": [{"path": "$.version", "op": "==", "value": "1"}],
        "header": [{"name": "x-version", "op": "matches", "value": "^1$"}],
        "regex": ['"version": "1"'],
        "min_body_bytes": 100,
    }

    async def run(url: str) -> Result:
        guard = Guard(AllowList.parse("127.0.0.1"))
        engine = ProbeEngine(guard=guard, user_agent="test")
        try:
            return await engine.probe(asked(**(fields | {"url": url})))
        finally:
            engine.close()

    with serve(page) as target:
        result = asyncio.run(run(target.url()))
    ok = version == "1"
    assert [(each.kind, each.ok) for each in result.assertions] == [
        ("expected_status", True),
        ("header", ok),
        ("regex", ok),
        ("json", ok),
        ("min_body_bytes", True),
    ]
    if ok:
        assert (result.outcome, result.reason) == (Outcome.UP, Reason.NONE)
    else:
        assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.HEADER)
        assert result.message == "The header x-version is “2”, expected a match of “^1$”."


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
OPS = ("==", "!=", "<", "<=", ">", ">=", "exists", "absent", "contains", "length")
PATHS = ("$", "$.a", "$..a", "$[0]", "$..*", "$[?@.a>1]", "$.a[-1]", "$[?length(@)>1]")
WORDS = st.lists(st.text(min_size=1, max_size=8), max_size=3)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
).map(lambda document: json.dumps(document).encode())


@given(
    fields=st.fixed_dictionaries(
        {"method": st.sampled_from(("GET", "HEAD", "POST"))},
        optional={
            "keyword": WORDS,
            "keyword_absent": WORDS,
            "regex": st.lists(st.sampled_from(("a+", ".", "^$", r"\d", "é")), max_size=2),
            "regex_absent": WORDS,
            "json": st.lists(
                st.builds(
                    lambda path, op, value: (
                        {"path": path, "op": op}
                        | ({} if op in ("exists", "absent") else {"value": value})
                    ),
                    st.sampled_from(PATHS),
                    st.sampled_from(OPS),
                    SCALARS,
                ),
                max_size=4,
            ),
            "header": st.lists(
                st.builds(
                    lambda op, value: {"name": "x-a", "op": op, "value": value},
                    st.sampled_from(("==", "!=", "matches")),
                    st.text(min_size=1, max_size=9),
                ),
                max_size=3,
            ),
            "min_body_bytes": st.integers(1, 50),
            "headers": st.just({"X-Key": 'abcd "<&%+/é'}),
            "expected_url": st.text(min_size=1, max_size=20),
            "max_latency_ms": st.integers(1, 1_000),
            "cert_min_days": st.integers(1, 90),
        },
    ),
    body=DOCUMENTS
    | st.binary(max_size=200)
    | st.text(max_size=90).map(lambda text: text.encode("utf-16")),
    charset=st.sampled_from(
        ("utf-8", "latin-1", "utf-16", "punycode", "", "\ud800", "idna", "hex")
    ),
    status=st.integers(100, 999),
    headers=st.lists(
        st.tuples(st.sampled_from((b"x-a", b"X-A", b"")), st.binary(max_size=20)), max_size=3
    ),
    url=st.sampled_from(("https://example.com/", "http://h/\ud800\0", "")),
)
@settings(max_examples=400, deadline=None)
def test_judging_never_raises(
    fields: dict[str, Any],
    body: bytes,
    charset: str,
    status: int,
    headers: list[tuple[bytes, bytes]],
    url: str,
) -> None:
    try:
        probe = asked(**fields)
        check_patterns(probe)
    except ContractError:
        return
    given = answer(
        body, charset=charset, http_status=status, headers=headers, url=url, certificate=None
    )
    read_back(judge(probe, given))
