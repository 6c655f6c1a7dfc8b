"""DNS checks against a name server of our own: records found, missing, wrong, hostile or forbidden."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_lambdas.probe.dns import DnsProber
from fanout_lambdas.probe.dns_message import BadMessage
from fanout_lambdas.probe.dns_records import EXAMPLES, encode_question, read_records
from fanout_lambdas.probe.name_servers import NameServer
from fanout_lambdas.probe.resolver import Resolver
from fanout_lambdas.shared.contracts import Outcome, Probe, Reason, Result
from fanout_lambdas.shared.netguard import AllowList, Guard
from tests.nameserver import Query, Script, Zone, name_server, silent

NAME = "www.example.com"
ZONE: Zone = {
    f"{NAME} A": ["93.184.216.34", "93.184.216.35"],
    f"{NAME} AAAA": "2606:2800:21f:cb07:0:0:0:1",
    f"{NAME} MX": ["10 Mail.Example.com.", "20 mail2.example.com."],
    f"{NAME} NS": "ns1.example.com.",
    f"{NAME} TXT": ['"v=spf1 include:a.example.com" " -all"', '"größe=5"'],
    f"{NAME} SOA": "ns1.example.com. admin.example.com. 2026112301 7200 3600 1209600 3600",
    f"{NAME} CAA": '0 issue "ca.example.net"',
    f"{NAME} SRV": "10 5 5060 sip.example.com.",
    f"{NAME} CNAME": "target.example.net.",
    "34.216.184.93.in-addr.arpa PTR": "host.example.com.",
}


def probe(
    script: Script | Zone,
    *,
    guard: Guard | None = None,
    operators: Sequence[NameServer] = (),
    place: str | None = None,
    **fields: Any,
) -> Result:
    """One check; without `operators` and `place` the scripted server is the operator's."""
    with name_server(script) as server:

        async def run() -> Result:
            opened = AllowList.parse(f"127.0.0.1/32:{server.port}")
            prober = DnsProber(
                guard=guard or Guard(opened),
                resolver=Resolver(operators or [NameServer.parse(server.place)]),
            )
            raw = {"check_id": 7, "slot": 5, "kind": "dns", "url": f"dns://{NAME}", **fields}
            if place is not None:
                raw["name_server"] = place.format(server.place)
            return await prober.probe(Probe.from_json(raw), lag_us=3)

        result = asyncio.run(run())
    assert (result.check_id, result.slot, result.lag_us) == (7, 5, 3)
    assert Result.from_json(json.loads(json.dumps(result.to_json()))) == result
    assert bool(result.message) == (result.outcome is not Outcome.UP)
    assert (result.phases.dns_us or 0) <= result.total_us
    return result


@pytest.mark.parametrize(
    ("kind", "expected", "got"),
    [
        ("A", ["93.184.216.35"], "93.184.216.34, 93.184.216.35"),
        ("AAAA", ["2606:2800:21F:CB07::1"], "2606:2800:21f:cb07::1"),
        ("MX", ["10 mail.example.com", "20 MAIL2.example.com."], "10 mail.example.com, 20"),
        ("NS", ["NS1.example.com"], "ns1.example.com"),
        (
            "TXT",
            ["v=spf1 include:a.example.com -all"],
            "größe=5, v=spf1 include:a.example.com -all",
        ),
        ("TXT", ['"v=spf1 include:a.example.com -all"'], "v=spf1"),
        ("TXT", ['"v=spf1 " "include:a.example.com -all"', "größe=5"], "v=spf1"),
        ("SOA", ["ns1.example.com. Admin.example.com 2026112301 7200 3600 1209600 3600"], "admin"),
        ("CAA", ['0 ISSUE "ca.example.net"'], '0 issue "ca.example.net"'),
        ("CAA", ["0 issue ca.example.net"], '0 issue "ca.example.net"'),
        ("SRV", ["10 5 5060 SIP.example.com"], "10 5 5060 sip.example.com"),
        ("CNAME", ["target.example.NET."], "target.example.net"),
    ],
)
def test_expected_values_in_whatever_spelling(kind: str, expected: list[str], got: str) -> None:
    result = probe(ZONE, record_type=kind, record_values=expected)
    assert (result.outcome, result.reason, result.evidence) == (Outcome.UP, Reason.NONE, None)
    assert [each.kind for each in result.assertions] == ["record_values"] * len(expected)
    assert [each.expected for each in result.assertions] == expected
    assert all(each.ok and got in each.got.lower() for each in result.assertions)
    assert result.phases.dns_us is not None
    assert result.phases.connect_us is None
    assert result.bytes > 12
    assert result.remote_address is None  # the operator's resolver is nobody's business


def test_any_record_will_do_without_expected_values() -> None:
    result = probe(ZONE, record_type="PTR", url="dns://34.216.184.93.in-addr.arpa")
    assert result.outcome is Outcome.UP
    (assertion,) = result.assertions
    assert (assertion.expected, assertion.got) == ("any PTR record", "host.example.com")


@pytest.mark.parametrize("kind", EXAMPLES)
def test_every_type_has_an_example_that_is_one(kind: str) -> None:
    result = probe(
        {f"{NAME} {kind}": f'"{EXAMPLES[kind]}"' if kind == "TXT" else EXAMPLES[kind]},
        record_type=kind,
        record_values=[EXAMPLES[kind]],
    )
    assert result.outcome is Outcome.UP, result.message


@pytest.mark.parametrize(
    ("kind", "expected", "sentence"),
    [
        ("A", "93.184.216.36", f"{NAME} has no A record 93.184.216.36; it has 93.184.216.34, "),
        ("MX", "20 mail.example.com", f"{NAME} has no MX record 20 mail.example.com; it has 10 "),
        ("TXT", "V=spf1 include:a.example.com -all", f"{NAME} has no TXT record V=spf1 "),
        ("A", "none", "'none' is not what A records look like: 93.184.216.34."),
        ("MX", "mail.example.com", "'mail.example.com' is not what MX records look like: 10 mail"),
    ],
)
def test_a_missing_value_is_shown_with_what_is_there(
    kind: str, expected: str, sentence: str
) -> None:
    result = probe(ZONE, record_type=kind, record_values=[expected])
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.DNS)
    assert result.message.startswith(sentence)
    (assertion,) = result.assertions
    assert not assertion.ok
    assert result.evidence is not None
    assert f"{NAME}. 60 IN {kind} " in result.evidence.body


def says(**fields: Any) -> Script:
    return lambda query: [query.reply(**fields)]


CIRCLE = [(NAME, "a.example.net"), ("a.example.net", NAME)]
FAILURES: dict[str, tuple[Script | Zone, str]] = {
    "nxdomain": ({"a.example.com A": "1.1.1.1"}, f"The name {NAME} does not exist."),
    "no record": ({f"{NAME} AAAA": "2606::1"}, f"{NAME} has no A record."),
    "alias": (
        says(aliases=[(NAME, "a.example.net")]),
        f"{NAME} is an alias of a.example.net, which has no A record.",
    ),
    "alias to nowhere": (
        says(aliases=[(NAME, "a.example.net")], rcode="NXDOMAIN"),
        f"The name {NAME} is an alias of a.example.net, which does not exist.",
    ),
    "servfail": (
        says(rcode="SERVFAIL"),
        f"The name {NAME} could not be resolved: its name servers fail (SERVFAIL).",
    ),
    "refused": (says(rcode="REFUSED"), f"The name server refuses to answer for {NAME} (REFUSED)."),
    "circle": (
        says(aliases=CIRCLE),
        f"The name server's answer for {NAME} cannot be read: "
        "its aliases lead in a circle, or are too many.",
    ),
    "broken": (
        lambda query: [query.reply("1.1.1.1").replace(b"\xc0\x0c\0\x01", b"\xc0\xff\0\x01")],
        f"The name server's answer for {NAME} cannot be read: ",
    ),
    "cut short": (
        says(truncated=True),
        f"The name server's answer for {NAME} is cut short, and the whole one does not come over TCP.",
    ),
    "huge": (
        lambda query: [query.reply(*(f"93.0.{at // 250}.{at % 250}" for at in range(3_000)))],
        f"The name server's answer for {NAME} is larger than 16 kiB.",
    ),
    "many": (
        lambda query: [query.reply(*(f"93.0.{at // 250}.{at % 250}" for at in range(300)))],
        f"The name server's answer for {NAME} cannot be read: it holds more than 200 records.",
    ),
}


@pytest.mark.parametrize(("script", "sentence"), FAILURES.values(), ids=FAILURES.keys())
def test_failures_are_sentences(script: Script | Zone, sentence: str) -> None:
    result = probe(script)
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.DNS)
    assert result.message.startswith(sentence)
    assert result.message.endswith(".")
    assert result.total_us < 3_000_000


def test_nxdomain_is_in_assertions_and_evidence() -> None:
    result = probe({"a.example.com A": "1.1.1.1"}, record_values=["1.1.1.1", "2.2.2.2"])
    assert [(each.got, each.ok) for each in result.assertions] == [("NXDOMAIN", False)] * 2
    assert result.evidence is not None
    assert result.evidence.body.startswith(";; NXDOMAIN")


def test_silence_ends_with_the_timeout() -> None:
    began = time.monotonic()
    result = probe(silent, timeout_ms=1_000)
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.TIMEOUT)
    assert result.message == "Timed out after 1 s while resolving the name."
    assert 1 <= time.monotonic() - began < 2


def test_slow_is_degraded() -> None:
    def slow(query: Query) -> Iterable[bytes | float]:
        return [0.05, query.reply("93.184.216.34")]

    result = probe(slow, max_latency_ms=20)
    assert (result.outcome, result.reason) == (Outcome.DEGRADED, Reason.LATENCY)
    assert [each.kind for each in result.assertions] == ["record_values", "max_latency_ms"]


def test_a_server_that_knows_no_edns_is_asked_without_it() -> None:
    def old(query: Query) -> Iterable[bytes]:
        if query.wire.endswith(b"\0\0\0\0\0\0"):  # the OPT record
            return [query.wire[:2] + b"\x81\x81" + b"\0" * 8]
        return [query.reply("93.184.216.34")]

    result = probe(old)
    assert (result.outcome, result.message) == (Outcome.UP, "")


def test_large_records_come_over_tcp() -> None:
    long = " ".join(f'"{"x" * 250}"' for _ in range(20))

    def script(query: Query) -> Iterable[bytes]:
        return [query.reply(long) if query.over_tcp else query.reply(truncated=True)]

    result = probe(script, record_type="TXT")
    assert result.outcome is Outcome.UP
    assert result.assertions[0].got.startswith("xxx")
    assert result.bytes > 5_000


# --- the tenant's name server


def test_the_tenants_server_is_asked_where_the_operator_opened_it() -> None:
    wrong = [NameServer("127.0.0.1", 9)]
    result = probe(ZONE, operators=wrong, place="{}", record_values=["93.184.216.34"])
    assert (result.outcome, result.remote_address) == (Outcome.UP, "127.0.0.1")


def test_the_tenants_server_may_be_a_name() -> None:
    zone = {**ZONE, "ns1.example.com A": "127.0.0.1"}
    with name_server(zone) as server:
        port = server.port
        resolver = Resolver([NameServer.parse(server.place)])
        prober = DnsProber(guard=Guard(AllowList.parse(f"127.0.0.1/32:{port}")), resolver=resolver)
        raw = {"check_id": 1, "slot": 5, "kind": "dns", "url": f"dns://{NAME}"}
        result = asyncio.run(
            prober.probe(Probe.from_json({**raw, "name_server": f"ns1.example.com:{port}"}))
        )
        assert (result.outcome, result.message) == (Outcome.UP, "")
        closed = DnsProber(guard=Guard(), resolver=resolver)
        result = asyncio.run(
            closed.probe(Probe.from_json({**raw, "name_server": "ns1.example.com"}))
        )
    assert result.reason is Reason.BLOCKED
    assert "ns1.example.com resolves to a forbidden target" in result.message


@pytest.mark.parametrize(
    ("place", "rule"),
    [
        ("127.0.0.1", "loopback"),
        ("{}", "loopback"),
        ("10.0.0.2", "private"),
        ("169.254.169.254", "metadata"),
        ("[::ffff:10.0.0.2]:53", "embedded_ipv4"),
        ("::1", "loopback"),
        ("8.8.8.8:80", "port"),
        ("8.8.8.8:5353", "port"),
        ("8.8.8.8:0", "port"),
        ("ns1.example.com:443", "port"),
        ("localhost", "single_label"),
        ("ns.internal", "local_name"),
        ("0x08080808", "spelling"),
        ("1.1.1.1/x", "host"),
        ("a@1.1.1.1", "host"),
        ("1.1.1.1 ", "characters"),
    ],
)
def test_forbidden_servers_are_never_asked(place: str, rule: str) -> None:
    asked: list[Query] = []

    def script(query: Query) -> Iterable[bytes]:
        asked.append(query)
        return []

    result = probe(script, guard=Guard(), place=place)
    assert (result.outcome, result.reason) == (Outcome.DOWN, Reason.BLOCKED)
    assert result.message.startswith(f"Not allowed ({rule}): ")
    assert asked == []


@pytest.mark.parametrize("place", ["8.8.8.8", "9.9.9.9:53", "2620:fe::fe", "[2620:fe::fe]:53"])
def test_public_servers_pass_the_guard(place: str) -> None:
    target = Guard().check_name_server(place)
    assert (target.is_literal, target.port) == (True, 53)


def test_a_referral_is_no_answer() -> None:
    def refers(query: Query) -> Iterable[bytes]:
        record = bytes.fromhex("c01000020001000000e00006036e7331c010")
        wire = bytearray(query.reply())
        return [bytes(wire[:9]) + b"\x01" + bytes(wire[10:12]) + question(query) + record]

    def question(query: Query) -> bytes:
        return query.wire[12 : 12 + len(NAME) + 6]

    result = probe(lambda query: [edit(part) for part in refers(query)], place="{}")
    assert result.message == (
        f"The name server does not answer for {NAME} itself: it refers to others."
    )


def edit(wire: bytes) -> bytes:
    """Without the OPT record that is no longer there."""
    return wire[:10] + b"\0\0" + wire[12:]


@given(
    kind=st.sampled_from(sorted(EXAMPLES)),
    changes=st.lists(st.tuples(st.integers(2, 200), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 40),
)
def test_any_changed_answer_is_read_or_refused(
    kind: str, changes: list[tuple[int, int]], cut: int
) -> None:
    value = f'"{EXAMPLES[kind]}"' if kind == "TXT" else EXAMPLES[kind]
    wire = bytearray(Query(NAME, kind, encode_question(NAME, kind)).reply(value))
    for at, byte in changes:
        wire[at % len(wire)] = byte
    with contextlib.suppress(BadMessage):
        records = read_records(bytes(wire[: max(12, len(wire) - cut)]))
        assert records.holds(EXAMPLES[kind], kind) in (True, False)
        assert all(isinstance(text, str) for text in records.texts)


def test_a_question_is_what_its_answer_repeats() -> None:
    question = encode_question(NAME, "MX")
    assert read_records(Query(NAME, "MX", question).reply("10 mail.")).texts == ["10 mail"]
