"""The JSON contracts: golden files, limits, and every bad input answered by field and rule."""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanout_lambdas.shared.contracts import (
    MAX_DECODED_BYTES,
    Batch,
    ContractError,
    Outcome,
    Probe,
    Reason,
    Spooled,
    decode,
    encode,
    pack,
    unpack,
)
from fanout_lambdas.shared.contracts.dispatch import DispatchReport, TriggerReport
from fanout_lambdas.shared.contracts.parsed_batch import parse_result_batch
from fanout_lambdas.shared.contracts.snapshot import CheckPlan, Snapshot

GOLDEN = Path(__file__).parents[2] / "fixtures" / "contracts" / "v1"

RESULT = {"check_id": 7, "slot": 1_795_409_177, "outcome": "up"}
ENVELOPE: dict[str, Any] = {
    "version": 1,
    "minute": 1_795_409_160,
    "batch": 3,
    "attempt": 1,
    "region": "local",
    "results": [],
}


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text("utf-8"))


def envelope(*results: Any, **changes: Any) -> bytes:
    return json.dumps(ENVELOPE | {"results": list(results)} | changes).encode()


def raw_result(name: str, text: str) -> bytes:
    """An envelope with one good result and one in which field `name` is this literal text."""
    fields = {"check_id": "8", "slot": "1795409177", "outcome": '"up"', name: text}
    bad = ",".join(f'"{key}":{value}' for key, value in fields.items())
    head = json.dumps(ENVELOPE)[: -len("]}")]
    return f"{head}{json.dumps(RESULT)},{{{bad}}}]}}".encode("utf-8", "surrogatepass")


# --- golden files: what is written today is read for ever, and written alike


def test_golden_result_batch() -> None:
    document = golden("result_batch.json")
    parsed = parse_result_batch(encode(document))
    assert parsed.errors == ()
    assert parsed.batch.to_json() == document
    up, down = parsed.batch.results
    assert (up.outcome, up.reason, up.phases.tls_us) == (Outcome.UP, Reason.NONE, 21_500)
    assert down.evidence is not None
    assert down.evidence.body == "out of order"
    (refusal,) = parsed.batch.refusals
    assert (refusal.check_id, refusal.error.rule) == (9, "scheme")


def test_golden_batch_and_probe() -> None:
    document = golden("batch.json")
    batch = Batch.from_json(document)
    assert batch.to_json() == document
    probes = [Probe.from_json(raw) for raw in batch.probes]
    assert [probe.to_json() for probe in probes] == document["probes"]
    assert [probe.kind for probe in probes] == ["http", "http", "tcp", "tls", "dns"]
    small, full = probes[:2]
    assert (small.method, small.timeout_ms, small.expected_status) == ("GET", 10_000, ("200-299",))
    assert full.auth is not None
    assert "open sesame" not in repr(full)


def test_golden_snapshot() -> None:
    document = golden("snapshot.json")
    snapshot = Snapshot.from_bytes(pack(document))
    assert json.loads(gzip.decompress(snapshot.to_bytes())) == document
    assert snapshot.checks[1].rotate
    assert snapshot.checks[0] == CheckPlan(
        check_id=7,
        interval_s=60,
        phase_s=17,
        regions=("local",),
        request={"url": "https://example.com/"},
    )


def test_golden_dispatch_report() -> None:
    document = golden("dispatch_report.json")
    report = DispatchReport.from_bytes(pack(document))
    assert report.failed == (4,)
    assert json.loads(encode(report.to_json())) == document
    assert DispatchReport.from_bytes(report.to_bytes()) == report


def test_report_of_an_older_release_lacks_the_newer_counts() -> None:
    document = golden("dispatch_report.json")
    for name in ("triggerers", "throttled"):
        del document[name]
    report = DispatchReport.from_bytes(pack(document))
    assert (report.triggerers, report.throttled, report.retried) == (0, 0, 3)
    with pytest.raises(ContractError) as caught:
        DispatchReport.from_bytes(pack({**document, "failed": [4, "five"]}))
    assert (caught.value.field, caught.value.rule) == ("failed.1", "type")


def test_golden_trigger_report() -> None:
    document = golden("trigger_report.json")
    report = TriggerReport.from_bytes(pack(document))
    assert (report.started, report.throttled, report.failed) == (98, 4, (117, 120))
    assert json.loads(encode(report.to_json())) == document
    assert TriggerReport.from_bytes(report.to_bytes()) == report


def test_golden_spool_entry() -> None:
    data = (GOLDEN / "spooled.json").read_bytes()
    spooled = Spooled.from_bytes(data)
    assert Spooled.from_bytes(spooled.to_bytes()) == spooled
    assert unpack(spooled.body) == b"{}"


# --- result batches


def test_bad_items_are_named_by_index_and_the_good_ones_kept() -> None:
    data = envelope(RESULT, {"check_id": 8}, "x", None, RESULT | {"check_id": 9, "outcome": "so"})
    parsed = parse_result_batch(data)
    assert [result.check_id for result in parsed.batch.results] == [7]
    assert [(error.index, error.field, error.rule) for error in parsed.errors] == [
        (1, "outcome", "required"),
        (2, "", "type"),
        (3, "", "type"),
        (4, "outcome", "choice"),
    ]


BAD_ITEMS = {
    ("check_id", "null"): "type",
    ("check_id", '"8"'): "type",
    ("check_id", "true"): "type",
    ("check_id", "8.0"): "type",
    ("check_id", "1e3"): "type",
    ("check_id", "1e400"): "type",
    ("check_id", "[]"): "type",
    ("check_id", "{}"): "type",
    ("check_id", "-1"): "range",
    ("check_id", "9223372036854775808"): "range",
    ("slot", "false"): "type",
    ("slot", '"2026-11-23T04:17:00Z"'): "type",
    ("slot", "253402300800"): "range",
    ("slot", "9223372036854775807"): "range",
    ("outcome", '""'): "choice",
    ("outcome", '"UP"'): "choice",
    ("outcome", '"missed"'): "choice",
    ("outcome", "1"): "type",
    ("reason", '"because"'): "choice",
    ("message", "5"): "type",
    ("message", json.dumps("x" * 501)): "length",
    ("message", r'"a\u0000b"'): "nul",
    ("message", r'"\ud800"'): "unicode",
    ("http_status", "99"): "range",
    ("http_status", "true"): "type",
    ("total_us", "-1"): "range",
    ("total_us", "2147483648000"): "range",
    ("phases", "[]"): "type",
    ("phases", '{"dns_us": -1}'): "range",
    ("phases", '{"dns_us": 1.5}'): "type",
    ("phases", '{"dns_us": 1, "dns_us": 2}'): "duplicate",
    ("hops", "{}"): "type",
    ("hops", "[1]"): "type",
    ("hops", '[{"url": "x"}]'): "required",
    ("hops", json.dumps([{"url": "x", "http_status": 302}] * 12)): "length",
    ("certificate", '{"not_after": "soon", "issuer": "", "subject": ""}'): "type",
    ("assertions", '[{"kind": "", "expected": "", "got": "", "ok": true}]'): "empty",
    ("assertions", '[{"kind": "a", "expected": "", "got": "", "ok": 1}]'): "type",
    ("evidence", '{"headers": [["a"]]}'): "type",
    ("evidence", '{"headers": [["a", 1]]}'): "type",
    ("evidence", json.dumps({"body": "x" * 2_049})): "length",
    ("bytes", "1.0"): "type",
    ("lag_us", "null"): "type",
    ("check_id", '8,"check_id":9'): "duplicate",
}


@pytest.mark.parametrize(("bad", "rule"), BAD_ITEMS.items(), ids=str)
def test_bad_field_of_a_result(bad: tuple[str, str], rule: str) -> None:
    parsed = parse_result_batch(raw_result(*bad))
    assert [result.check_id for result in parsed.batch.results] == [7]
    (error,) = parsed.errors
    assert (error.index, error.rule) == (1, rule)
    assert error.message
    json.dumps(error.to_json()).encode("ascii")


BAD_DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "json"),
    "not json": (b"hello", "json"),
    "cut": (envelope(RESULT)[:-5], "json"),
    "nan": (raw_result("total_us", "NaN"), "json"),
    "infinity": (raw_result("total_us", "-Infinity"), "json"),
    "5000 digits": (raw_result("check_id", "9" * 5_000), "json"),
    "depth": (b"[" * 100_000 + b"]" * 100_000, "depth"),
    "depth of objects": (b'{"a":' * 100_000, "depth"),
    "utf-16": (envelope(RESULT).decode().encode("utf-16"), "encoding"),
    "bom": (b"\xef\xbb\xbf" + envelope(RESULT), "json"),
    "raw surrogate": (raw_result("message", '"\ud800"'), "encoding"),
    "list": (b"[]", "type"),
    "null": (b"null", "type"),
    "number": (b"1", "type"),
    "two names": (b'{"version":1,"version":1}', "duplicate"),
    "no version": (b"{}", "required"),
    "version 2": (envelope(version=2), "version"),
    "version true": (envelope(version=True), "type"),
    "no results": (json.dumps({**ENVELOPE, "results": None}).encode(), "type"),
    "results object": (json.dumps({**ENVELOPE, "results": {}}).encode(), "type"),
    "1001 results": (envelope(*[RESULT] * 1_001), "length"),
    "minute text": (envelope(minute="now"), "type"),
    "batch -1": (envelope(batch=-1), "range"),
    "batch 2^31": (envelope(batch=2**31), "range"),
    "attempt 0": (envelope(attempt=0), "range"),
    "no region": (envelope(region=""), "empty"),
    "long region": (envelope(region="r" * 33), "length"),
    "region nul": (envelope(region="a\0"), "nul"),
    "worker list": (envelope(worker=[]), "type"),
    "worker flag": (envelope(worker={"cold_start": 1}), "type"),
    "20 MB": (b" " * (MAX_DECODED_BYTES + 1), "too_large"),
}


@pytest.mark.parametrize(("data", "rule"), BAD_DOCUMENTS.values(), ids=BAD_DOCUMENTS.keys())
def test_bad_document(data: bytes, rule: str) -> None:
    with pytest.raises(ContractError) as caught:
        parse_result_batch(data)
    assert caught.value.rule == rule


def test_unknown_fields_of_a_later_worker_do_no_harm() -> None:
    data = envelope(RESULT | {"id": 1, "tenant": 2, "state": "up"}, shiny=True)
    parsed = parse_result_batch(data)
    assert not parsed.errors
    assert "tenant" not in parsed.batch.results[0].to_json()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(exclude_categories=[])),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
# The first draw builds tables of all characters, which a busy machine does not do in a second.
FUZZ = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FIELDS = ["check_id", "slot", "outcome", "phases", "hops", "evidence", "assertions", "error"]


@given(data=st.binary(max_size=200))
@FUZZ
def test_fuzz_bytes(data: bytes) -> None:
    only_contract_errors(lambda: parse_result_batch(data))
    only_contract_errors(lambda: unpack(data))
    only_contract_errors(lambda: Spooled.from_bytes(data))


@given(
    changes=st.dictionaries(st.sampled_from([*ENVELOPE, "worker"]), JSON, max_size=2),
    result=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5),
)
@FUZZ
def test_fuzz_documents(changes: dict[str, Any], result: dict[str, Any]) -> None:
    data = json.dumps({**ENVELOPE, "results": [RESULT, RESULT | result], **changes}).encode()
    only_contract_errors(lambda: parse_result_batch(data))


@given(probe=st.dictionaries(st.sampled_from([*Probe.__slots__, "regex"]), JSON, max_size=6))
@FUZZ
def test_fuzz_probes(probe: dict[str, Any]) -> None:
    base = {"check_id": 1, "slot": 2, "url": "https://example.com/"}
    only_contract_errors(lambda: Probe.from_json(base | probe))
    only_contract_errors(lambda: Batch.from_json(probe))


def only_contract_errors(call: Callable[[], object]) -> None:
    """Anything else that is raised fails the test."""
    with contextlib.suppress(ContractError):
        call()


# --- probes

BAD_PROBES: list[tuple[dict[str, Any], str, str]] = [
    ({"url": None}, "url", "type"),
    ({"url": ""}, "url", "empty"),
    ({"url": "http://e.com/" + "x" * 2_048}, "url", "length"),
    ({"kind": "icmp"}, "kind", "choice"),
    ({"method": "get"}, "method", "choice"),
    ({"method": "GET\r\nX: y"}, "method", "choice"),
    ({"timeout_ms": 999}, "timeout_ms", "range"),
    ({"timeout_ms": 30_001}, "timeout_ms", "range"),
    ({"timeout_ms": True}, "timeout_ms", "type"),
    ({"follow_redirects": "yes"}, "follow_redirects", "type"),
    ({"max_redirects": 11}, "max_redirects", "range"),
    ({"family": "46"}, "family", "choice"),
    ({"max_body_bytes": 0}, "max_body_bytes", "range"),
    ({"body": "é" * 33_000}, "body", "length"),
    ({"headers": [["a", "b"]]}, "headers", "type"),
    ({"headers": {"a b": "c"}}, "headers", "characters"),
    ({"headers": {"a": "b\r\nc: d"}}, "headers", "characters"),
    ({"headers": {"a": " b"}}, "headers", "characters"),
    ({"headers": {"a": "1", "A": "2"}}, "headers", "duplicate"),
    ({"headers": {"Content-Length": "5"}}, "headers", "reserved"),
    ({"headers": {"Transfer-Encoding": "chunked"}}, "headers", "reserved"),
    ({"headers": {"a": 5}}, "headers.a", "type"),
    ({"headers": {f"h{n}": "" for n in range(65)}}, "headers", "length"),
    ({"headers": {"a": "x" * 16_384}}, "headers", "length"),
    ({"auth": {}}, "auth.type", "required"),
    ({"auth": {"type": "digest"}}, "auth.type", "choice"),
    ({"auth": {"type": "basic", "username": "a:b", "password": ""}}, "auth.username", "characters"),
    ({"auth": {"type": "bearer", "token": "a b"}}, "auth.token", "characters"),
    ({"auth": {"type": "bearer", "token": "a", "password": "b"}}, "auth.password", "unknown"),
    ({"expected_status": []}, "expected_status", "empty"),
    ({"expected_status": [200]}, "expected_status.0", "type"),
    ({"expected_status": ["2xx"]}, "expected_status", "status"),
    ({"expected_status": ["299-200"]}, "expected_status", "status"),
    ({"expected_status": ["٢٠٠"]}, "expected_status", "status"),
    ({"keyword": "ok"}, "keyword", "type"),
    ({"keyword": [""]}, "keyword.0", "empty"),
    ({"keyword": ["x"] * 21}, "keyword", "length"),
    ({"max_latency_ms": 0}, "max_latency_ms", "range"),
    ({"cert_min_days": -1}, "cert_min_days", "range"),
    ({"regex": [5]}, "regex.0", "type"),
    ({"json": {"path": "$"}}, "json", "type"),
    ({"json": [{"path": "$.a", "op": "~"}]}, "json.0.op", "choice"),
    ({"json": [{"path": "", "op": "exists"}]}, "json.0.path", "empty"),
    ({"json": [{"path": "$.a", "op": "=="}]}, "json.0.value", "required"),
    ({"json": [{"path": "$.a", "op": "==", "value": {}}]}, "json.0.value", "type"),
    ({"json": [{"path": "$.a", "op": "<", "value": "5"}]}, "json.0.value", "type"),
    ({"json": [{"path": "$.a", "op": "<", "value": True}]}, "json.0.value", "type"),
    ({"json": [{"path": "$.a", "op": "length", "value": -1}]}, "json.0.value", "type"),
    ({"json": [{"path": "$.a", "op": "exists", "value": 1}]}, "json.0.value", "unused"),
    ({"json": [{"path": "$.a", "op": "exists", "is": 1}]}, "json.0.is", "unknown"),
    ({"header": [{"name": "a b", "op": "exists"}]}, "header.0.name", "characters"),
    ({"header": [{"name": "a", "op": "<", "value": "b"}]}, "header.0.op", "choice"),
    ({"header": [{"name": "a", "op": "=="}]}, "header.0.value", "required"),
    ({"header": [{"name": "a", "op": "absent", "value": "b"}]}, "header.0.value", "unused"),
    ({"max_latency_outcome": "up"}, "max_latency_outcome", "choice"),
    ({"min_body_bytes": -1}, "min_body_bytes", "range"),
    ({"record_type": "A", "record_values": ["1.1.1.1"]}, "record_values", "kind"),
    ({"kind": "heartbeat"}, "kind", "choice"),
    ({"kind": "tcp", "keyword": ["ok"]}, "keyword", "kind"),
    ({"kind": "tcp", "send": "é" * 3_000}, "send", "length"),
    ({"kind": "tls", "method": "POST"}, "method", "kind"),
    ({"kind": "dns", "record_type": "AXFR"}, "record_type", "choice"),
    ({"kind": "dns", "verify_tls": False}, "verify_tls", "kind"),
    ({"tenant": 5}, "tenant", "unknown"),
    ({"check_id": "1"}, "check_id", "type"),
    ({"slot": -1}, "slot", "range"),
]


@pytest.mark.parametrize(("changes", "field", "rule"), BAD_PROBES)
def test_bad_probe(changes: dict[str, Any], field: str, rule: str) -> None:
    with pytest.raises(ContractError) as caught:
        Probe.from_json({"check_id": 1, "slot": 2, "url": "https://example.com/"} | changes)
    assert (caught.value.field, caught.value.rule) == (field, rule)


@pytest.mark.parametrize("kind", ["tcp", "tls", "dns"])
def test_defaults_of_other_kinds_may_be_named(kind: str) -> None:
    probe = {"check_id": 1, "slot": 2, "url": "x://example.com", "kind": kind}
    named = probe | {"method": "GET", "keyword": [], "send": "", "record_values": []}
    assert Probe.from_json(named) == Probe.from_json(probe)


# --- the wire


def test_packing_is_repeatable_and_reversible() -> None:
    assert pack(ENVELOPE) == pack(ENVELOPE)
    assert decode(unpack(pack(ENVELOPE))) == ENVELOPE
    assert unpack(b"{}", "identity") == b"{}"


@pytest.mark.parametrize(
    ("body", "encoding", "rule"),
    [
        (gzip.compress(b"\0" * (MAX_DECODED_BYTES + 1), mtime=0), "gzip", "too_large"),
        (b"x" * (MAX_DECODED_BYTES + 1), "", "too_large"),
        (gzip.compress(b"{}", mtime=0)[:-1], "gzip", "gzip"),
        (gzip.compress(b"{}", mtime=0) + b"x", "gzip", "gzip"),
        (b"{}", "gzip", "gzip"),
        (b"", "gzip", "gzip"),
        (b"{}", "br", "encoding"),
        (b"{}", "gzip, gzip", "encoding"),
    ],
)
def test_bad_wire(body: bytes, encoding: str, rule: str) -> None:
    with pytest.raises(ContractError) as caught:
        unpack(body, encoding)
    assert caught.value.rule == rule
