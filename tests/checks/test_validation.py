"""What may be said of a check: each field's rule by its name. No database."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from checks.manual import probe_of
from checks.models import Kind
from checks.validation import DEFAULTS, FIELDS_OF, Bounds, clean_fields
from fanout_lambdas.probe.dns_records import parse_record
from fanout_lambdas.shared.netguard import AllowList, Guard

BOUNDS = Bounds(
    guard=Guard(AllowList.parse("127.0.0.1/32:8081")),
    minimum_interval_s=60,
    region_ids=frozenset({1, 2}),
)


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"url": "ftp://example.com/"}, "url", "scheme"),
        ({"url": "169.254.169.254/latest"}, "url", "metadata"),
        ({"url": "http:example.com"}, "url", "host"),
        ({"url": "mailto:a@example.com"}, "url", "scheme"),
        ({"url": "user:secret@example.com"}, "url", "userinfo"),
        ({"url": ""}, "url", "empty"),
        ({"url": "http://169.254.169.254/"}, "url", "metadata"),
        ({"url": "http://10.0.0.1/"}, "url", "private"),
        ({"url": "http://user:secret@example.com/"}, "url", "userinfo"),
        ({"url": "http://example.com/\r\nX: 1"}, "url", "characters"),
        ({"url": "https://example.com/" + "a" * 2048}, "url", "length"),
        ({"url": None}, "url", "type"),
        ({"name": " "}, "name", "empty"),
        ({"name": "a\r\nBcc: x"}, "name", "characters"),
        ({"name": "x" * 101}, "name", "length"),
        ({"method": "CONNECT"}, "method", "choice"),
        ({"interval_s": 61}, "interval_s", "choice"),
        ({"interval_s": True}, "interval_s", "choice"),
        ({"interval_s": 10}, "interval_s", "plan"),
        ({"timeout_ms": 31_000}, "timeout_ms", "range"),
        ({"timeout_ms": "10"}, "timeout_ms", "type"),
        ({"expected_status": ["2xx"]}, "expected_status", "status"),
        ({"expected_status": ["299-200"]}, "expected_status", "status"),
        ({"expected_status": "200"}, "expected_status", "type"),
        ({"headers": {"Host": "other.example"}}, "headers", "reserved"),
        ({"headers": {"Content-Length": "1"}}, "headers", "reserved"),
        ({"headers": {"Transfer-Encoding": "chunked"}}, "headers", "reserved"),
        ({"headers": {"X y": "1"}}, "headers", "characters"),
        ({"headers": {"X": "1\r\nY: 2"}}, "headers", "characters"),
        ({"headers": {"X": "a\0b"}}, "headers", "nul"),
        ({"headers": {f"X-{n}": "1" for n in range(65)}}, "headers", "length"),
        ({"headers": {"X": "v" * 17_000}}, "headers", "length"),
        ({"method": "POST", "body": "x" * 65_537}, "body", "length"),
        ({"method": "GET", "body": "x"}, "body", "method"),
        ({"method": "HEAD", "keyword": ["ok"]}, "keyword", "method"),
        ({"keyword": ["x" * 501]}, "keyword", "length"),
        ({"keyword": [f"{n}" for n in range(21)]}, "keyword", "length"),
        ({"max_latency_ms": 0}, "max_latency_ms", "range"),
        ({"cert_min_days": -1}, "cert_min_days", "range"),
        ({"max_redirects": 11}, "max_redirects", "range"),
        ({"family": "5"}, "family", "choice"),
        ({"verify_tls": "yes"}, "verify_tls", "type"),
        ({"regions": []}, "regions", "empty"),
        ({"regions": [9999]}, "regions", "choice"),
        ({"quorum": 2}, "quorum", "range"),
        ({"down_after": 0}, "down_after", "range"),
        ({"up_after": 11}, "up_after", "range"),
        ({"client": 5}, "client", "unknown"),
        ({"state": "up"}, "state", "unknown"),
    ],
)
def test_bad_values_are_refused_by_field_and_rule(
    fields: dict[str, Any], field: str, rule: str
) -> None:
    given = {"name": "Site", "url": "https://example.com/", "regions": [1], **fields}
    with pytest.raises(ValidationError) as error:
        clean_fields(given, base={}, bounds=BOUNDS)
    assert {name: found[0].code for name, found in error.value.error_dict.items()} == {field: rule}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("example.com", "https://example.com"),
        (" example.com/a?to=http://b.test ", "https://example.com/a?to=http://b.test"),
        ("//example.com/a", "https://example.com/a"),
        ("example.com:8443/a", "https://example.com:8443/a"),
        ("[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        ("HTTP://example.com/", "HTTP://example.com/"),
    ],
)
def test_an_address_without_a_scheme_means_https(typed: str, meant: str) -> None:
    given = {"name": "Site", "url": typed, "regions": [1]}
    assert clean_fields(given, base={}, bounds=BOUNDS)["url"] == meant


@pytest.mark.parametrize(
    ("fields", "field", "rule"),
    [
        ({"kind": "icmp"}, "kind", "choice"),
        ({"kind": None}, "kind", "choice"),
        # targets
        ({"kind": "tcp", "url": "db.example.com"}, "url", "port"),
        ({"kind": "tcp", "url": "https://db.example.com:5432"}, "url", "scheme"),
        ({"kind": "tcp", "url": "tcp://db.example.com:5432/x"}, "url", "path"),
        ({"kind": "tcp", "url": "10.0.0.1:5432"}, "url", "private"),
        ({"kind": "tcp", "url": "169.254.169.254:80"}, "url", "metadata"),
        ({"kind": "tls", "url": "https://example.com/"}, "url", "scheme"),
        ({"kind": "tls", "url": "localhost"}, "url", "single_label"),
        ({"kind": "dns", "url": "example.com:53"}, "url", "port"),
        ({"kind": "dns", "url": "192.0.2.1"}, "url", "host"),
        ({"kind": "dns", "name_server": "10.0.0.1"}, "name_server", "private"),
        ({"kind": "dns", "name_server": "not a host"}, "name_server", "characters"),
        # who says something may use fewer ports
        ({"kind": "tcp", "url": "mail.example.com:25", "send": "EHLO me"}, "send", "port"),
        # fields of another kind
        ({"kind": "tcp", "method": "POST"}, "method", "kind"),
        ({"kind": "tcp", "keyword": ["ok"]}, "keyword", "kind"),
        ({"kind": "tls", "send": "x"}, "send", "kind"),
        ({"kind": "tls", "follow_redirects": 1}, "follow_redirects", "kind"),
        ({"kind": "dns", "cert_min_days": 3}, "cert_min_days", "kind"),
        ({"record_type": "MX"}, "record_type", "kind"),
        ({"grace_s": 60}, "grace_s", "kind"),
        ({"kind": "heartbeat", "timeout_ms": 5_000}, "timeout_ms", "kind"),
        # assertions and requests
        ({"regex": ["("]}, "regex", "regex"),
        ({"regex_absent": ["a{2000}b{2000}"]}, "regex_absent", "regex"),
        ({"json": [{"path": "status", "op": "exists"}]}, "json", "json_path"),
        ({"json": [{"path": "$.a", "op": "like", "value": "x"}]}, "json", "choice"),
        ({"json": {"path": "$.a"}}, "json", "type"),
        ({"header": [{"name": "X", "op": "matches", "value": "("}]}, "header", "regex"),
        ({"header": [{"name": "X y", "op": "exists"}]}, "header", "characters"),
        ({"expected_url": "ftp://example.com/"}, "expected_url", "scheme"),
        ({"min_body_bytes": 0}, "min_body_bytes", "range"),
        ({"min_body_bytes": 20, "max_body_bytes": 10}, "min_body_bytes", "range"),
        ({"max_latency_outcome": "up"}, "max_latency_outcome", "choice"),
        ({"auth": {"type": "basic", "username": "a:b", "password": ""}}, "auth", "characters"),
        ({"auth": {"type": "digest"}}, "auth", "choice"),
        ({"auth": {"type": "bearer", "token": "a b"}}, "auth", "characters"),
        ({"auth": "Bearer x"}, "auth", "type"),
        (
            {"auth": {"type": "bearer", "token": "x"}, "headers": {"authorization": "y"}},
            "auth",
            "duplicate",
        ),
        ({"method": "HEAD", "regex": ["ok"]}, "regex", "method"),
        ({"method": "HEAD", "json": [{"path": "$.a", "op": "exists"}]}, "json", "method"),
        ({"method": "HEAD", "min_body_bytes": 1}, "min_body_bytes", "method"),
        ({"kind": "dns", "record_type": "ANY"}, "record_type", "choice"),
        ({"kind": "tcp", "send": "x" * 4_097}, "send", "length"),
        # heartbeats
        ({"kind": "heartbeat", "interval_s": 59}, "interval_s", "range"),
        ({"kind": "heartbeat", "grace_s": 9}, "grace_s", "range"),
        ({"kind": "heartbeat", "grace_s": 32 * 86_400}, "grace_s", "range"),
        ({"kind": "heartbeat", "cron": "61 * * * *"}, "cron", "cron"),
        ({"kind": "heartbeat", "cron": "30 2 * *"}, "cron", "fields"),
        ({"kind": "heartbeat", "cron": 5}, "cron", "type"),
        ({"kind": "heartbeat", "timezone": "Mars/Base"}, "timezone", "zone"),
    ],
)
def test_each_kind_has_its_rules(fields: dict[str, Any], field: str, rule: str) -> None:
    kind = fields.get("kind")
    given = {"name": "Site", **({"regions": [1]} if kind != "heartbeat" else {})}
    if kind in (None, "http", "dns", "tls", "icmp"):
        given["url"] = "example.com"
    elif kind == "tcp":
        given["url"] = "example.com:8443"
    with pytest.raises(ValidationError) as error:
        clean_fields({**given, **fields}, base={}, bounds=BOUNDS)
    assert {name: found[0].code for name, found in error.value.error_dict.items()} == {field: rule}


@pytest.mark.parametrize(
    ("kind", "typed", "stored"),
    [
        ("tcp", " DB.example.com:5432 ", "tcp://db.example.com:5432"),
        ("tcp", "tcp://[2606:4700::1111]:443", "tcp://[2606:4700::1111]:443"),
        ("tls", "Example.com.", "tls://example.com"),
        ("tls", "example.com:443", "tls://example.com"),
        ("tls", "mail.example.com:993", "tls://mail.example.com:993"),
        ("dns", "_sip._tcp.Example.com", "dns://_sip._tcp.example.com"),
        ("dns", "dns://münchen.example", "dns://xn--mnchen-3ya.example"),
    ],
)
def test_a_target_is_typed_bare_or_in_full(kind: str, typed: str, stored: str) -> None:
    given = {"name": "Site", "kind": kind, "url": typed, "regions": [1]}
    assert clean_fields(given, base={}, bounds=BOUNDS)["url"] == stored


def test_a_field_of_another_kind_may_hold_its_default() -> None:
    given = {"name": "Site", "url": "example.com:8443", "regions": [1], "kind": "tcp"}
    defaults = {name: value for name, value in DEFAULTS.items() if name not in given}
    assert set(clean_fields({**defaults, **given}, base={}, bounds=BOUNDS)) <= FIELDS_OF[Kind.TCP]


def test_assertions_are_stored_as_the_contract_writes_them() -> None:
    rules: dict[str, Any] = {
        "json": [
            {"path": "$.a", "op": "==", "value": None},
            {"path": "$.b", "op": "absent", "value": None},
        ],
        "header": [{"name": "Server", "op": "absent", "value": ""}],
    }
    given = {"name": "Site", "url": "example.com", "regions": [1], **rules}
    cleaned = clean_fields(given, base={}, bounds=BOUNDS)
    assert cleaned["json"] == [
        {"path": "$.a", "op": "==", "value": None},
        {"path": "$.b", "op": "absent"},
    ]
    assert cleaned["header"] == [{"name": "Server", "op": "absent"}]


def test_a_text_to_send_closes_ports_for_a_stored_check_too() -> None:
    base = {**DEFAULTS, "kind": "tcp", "url": "tcp://mail.example.com:25", "regions": [1]}
    with pytest.raises(ValidationError) as error:
        clean_fields({"send": "EHLO me"}, base=base, bounds=BOUNDS)
    assert set(error.value.error_dict) == {"send"}


def test_every_wrong_field_is_named_at_once() -> None:
    with pytest.raises(ValidationError) as error:
        clean_fields({"name": "", "interval_s": 7, "quorum": 0}, base={}, bounds=BOUNDS)
    assert set(error.value.error_dict) == {"name", "interval_s", "quorum", "url", "regions"}


RECORDS = [
    ("A", "999.1.1.1", "93.184.216.34"),
    ("A", "example.com", "93.184.216.34"),
    ("AAAA", "93.184.216.34", "2606:2800:21f:cb07::1"),
    ("MX", "mail.example.com", "10 mail.example.com"),
    ("MX", "70000 mail.example.com", "10 mail.example.com"),
    ("SRV", "10 5 sip.example.com", "10 5 5060 sip.example.com"),
    ("NS", "ns1..example.com", "ns1.example.com"),
    ("CNAME", "x" * 64 + ".example.com", "www.example.com"),
    ("PTR", "two words", "host.example.com"),
]


@pytest.mark.parametrize(("record_type", "wrong", "right"), RECORDS)
def test_a_record_that_no_answer_can_hold_is_refused(
    record_type: str, wrong: str, right: str
) -> None:
    check = {"kind": "dns", "url": "example.com", "regions": [1], "record_type": record_type}
    with pytest.raises(ValidationError) as refused:
        clean_fields({**check, "record_values": [right, wrong]}, base={}, bounds=BOUNDS)
    (error,) = refused.value.error_dict["record_values"]
    assert error.code == "record"
    assert f"is not what {record_type} records look like, such as {right}." in error.message
    with pytest.raises(ValueError, match="is not what"):  # nor would the worker know what to do
        parse_record(wrong, record_type)
    saved = clean_fields({**check, "record_values": [right]}, base={}, bounds=BOUNDS)
    assert saved["record_values"] == [right]


@pytest.mark.parametrize(
    ("record_type", "text"),
    [
        *(
            ("A", " 192.0.2.1 "),
            ("AAAA", "::FFFF:192.0.2.1"),
            ("MX", "0 ."),
            ("MX", "010  a.test."),
        ),
        *(("SRV", "0 0 443 _a.test"), ("NS", "@"), ("CNAME", "a\\.b.test"), ("CNAME", "ä.test")),
        *(("TXT", "any .. text"), ("SOA", "left to the worker"), ("CAA", "left to the worker")),
    ],
)
def test_a_record_that_the_worker_reads_is_saved(record_type: str, text: str) -> None:
    check = {"kind": "dns", "url": "example.com", "regions": [1], "record_type": record_type}
    saved = clean_fields({**check, "record_values": [text]}, base={}, bounds=BOUNDS)
    assert saved["record_values"] == [text]


def test_a_change_of_the_record_type_is_judged_with_the_stored_values() -> None:
    base = {
        "kind": "dns",
        "url": "dns://example.com",
        "regions": [1],
        "record_values": ["192.0.2.1"],
    }
    assert clean_fields({"interval_s": 300}, base={**base, "record_type": "MX"}, bounds=BOUNDS)
    with pytest.raises(ValidationError) as refused:
        clean_fields({"record_type": "MX"}, base=base, bounds=BOUNDS)
    assert set(refused.value.error_dict) == {"record_values"}


def test_the_operator_opens_private_targets() -> None:
    given = {"name": "Target", "url": "http://127.0.0.1:8081/fast", "regions": [1, 2], "quorum": 2}
    assert clean_fields(given, base={}, bounds=BOUNDS) == given
    with pytest.raises(ValidationError):
        clean_fields({**given, "url": "http://127.0.0.1:8000/"}, base={}, bounds=BOUNDS)


def test_a_change_is_judged_with_what_the_check_has() -> None:
    base = {**DEFAULTS, "url": "https://example.com/", "regions": [1, 2], "quorum": 2}
    with pytest.raises(ValidationError) as error:
        clean_fields({"regions": [1]}, base=base, bounds=BOUNDS)
    assert set(error.value.error_dict) == {"quorum"}


TARGETS = {
    "http": "https://example.com/",
    "tcp": "tcp://example.com:8443",
    "tls": "tls://example.com",
    "dns": "dns://example.com",
}


@pytest.mark.parametrize("kind", TARGETS)
def test_the_defaults_are_what_a_worker_accepts(kind: str) -> None:
    probe = probe_of({**DEFAULTS, "kind": kind, "url": TARGETS[kind]}, check_id=1, slot=0)
    assert (probe.kind, probe.url, probe.timeout_ms) == (kind, TARGETS[kind], 10_000)
