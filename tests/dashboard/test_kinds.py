"""What the page of one result shows for each kind of check: its own facts, phases and verdicts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from checks.models import Check, Evidence, Result
from checks.models.result import OUTCOMES, REASONS
from fanout_lambdas.shared.contracts import Outcome, Reason
from tests.conftest import Personas
from tests.making import make_check

Browse = Callable[[Any], Browser]
pytestmark = pytest.mark.django_db


def result_of(check: Check, document: dict[str, Any], **fields: Any) -> str:
    """The path of the page of a failed result."""
    at = datetime.fromtimestamp(int(timezone.now().timestamp()) - 60, UTC)
    result = Result(
        at=at,
        check_id=check.pk,
        client=check.client,
        region=check.regions[0],
        outcome=OUTCOMES[Outcome.DOWN],
        reason=REASONS[Reason.CONNECTION],
        total_us=30_000,
        lag_ms=1,
        stored_ms=1,
        extra=False,
    )
    for name, value in fields.items():
        setattr(result, name, value)
    result.save(force_insert=True)
    Evidence.objects.create(
        at=at,
        check_id=check.pk,
        client=check.client,
        region=check.regions[0],
        message="It failed.",
        document=document,
    )
    return f"/checks/{check.pk}/results/{int(at.timestamp())}-{check.regions[0]}/"


def page_of(answer: Any) -> str:
    """Its words, without the frame around them."""
    text = re.sub(r"(?s).*<main|</main>.*", "", answer.content.decode())
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text))


def test_a_port_shows_what_it_said_and_no_http(personas: Personas, browse: Browse) -> None:
    check = make_check(
        personas.client, personas.region, kind="tcp", url="tcp://db.example.com:5432"
    )
    verdict = {"kind": "expect", "expected": "PONG", "got": "<b>ERR</b>", "ok": False}
    path = result_of(
        check,
        {"remote_address": "192.0.2.7", "assertions": [verdict]},
        dns_us=1_000,
        connect_us=9_000,
        bytes=12,
    )
    answer = browse(personas.viewer).get(path)
    page = page_of(answer)
    for said in ("TCP port: db.example.com:5432", "192.0.2.7", "12 B", "What the server says"):
        assert said in page, said
    assert "&lt;b&gt;ERR" in answer.content.decode()
    assert "Status" not in page
    drawing = re.findall(r'class="p-(\w+)"', answer.content.decode())
    assert drawing == ["dns", "connect"], "only the phases that took place"
    assert browse(personas.stranger).get(path).status_code == 404


def test_a_certificate_is_shown_with_the_days_it_has(personas: Personas, browse: Browse) -> None:
    check = make_check(personas.client, personas.region, kind="tls", url="tls://example.com")
    ended = int((timezone.now() - timedelta(days=2, hours=1)).timestamp())
    certificate = {"not_after": ended, "issuer": "Some CA", "subject": "example.com"}
    verdict = {
        "kind": "certificate",
        "expected": "valid, 14 days or more",
        "got": "expired",
        "ok": False,
    }
    page = page_of(
        browse(personas.viewer).get(
            result_of(check, {"certificate": certificate, "assertions": [verdict]}, tls_us=9_000)
        )
    )
    for said in ("Some CA", "expired 2 days ago", "valid, 14 days or more"):
        assert said in page, said
    assert "Size" not in page


def test_every_assertion_has_expected_and_got(personas: Personas, browse: Browse) -> None:
    check = make_check(personas.client, personas.region, url="https://example.com/")
    rows = [
        ("expected_status", "200-299", "200", True),
        ("json", '$.status == "ok"', '"bad"', False),
        ("header", "Server absent", "missing", True),
        ("max_latency_ms", "800", "1203", False),
    ]
    verdicts = [
        {"kind": kind, "expected": expected, "got": got, "ok": ok}
        for kind, expected, got, ok in rows
    ]
    path = result_of(check, {"assertions": verdicts}, http_status=200)
    page = page_of(browse(personas.viewer).get(path))
    for said in (
        "Met Status code 200-299 200",
        "Not met JSON rule $.status == &quot;ok&quot; &quot;bad&quot;",
        "Met Header rule Server absent missing",
        "Not met Response time at most 800 ms 1.20 s",
        "HTTP 200",
    ):
        assert said in page, said


def test_a_name_shows_whom_it_asked(personas: Personas, browse: Browse) -> None:
    check = make_check(
        personas.client, personas.region, kind="dns", url="dns://example.com", record_type="MX"
    )
    verdict = {
        "kind": "record_values",
        "expected": "10 mail.example.com",
        "got": "20 x.test",
        "ok": False,
    }
    path = result_of(check, {"remote_address": "192.0.2.53", "assertions": [verdict]}, dns_us=3_000)
    page = page_of(browse(personas.viewer).get(path))
    for said in ("DNS record: MX example.com", "Name server 192.0.2.53", "20 x.test"):
        assert said in page, said


def test_what_was_not_asked_has_no_phases(personas: Personas, browse: Browse) -> None:
    check = make_check(personas.client, personas.region, url="http://10.0.0.1/")
    said = browse(personas.viewer).get(result_of(check, {}, total_us=300))
    assert "Where the time went" not in page_of(said)


def test_the_protocol_has_its_name(personas: Personas, browse: Browse) -> None:
    check = make_check(personas.client, personas.region, url="https://example.com/")
    path = result_of(check, {"http_version": "1.1"}, http_status=503, wait_us=9_000)
    page = page_of(browse(personas.viewer).get(path))
    assert "Protocol HTTP/1.1" in page
    assert "Where the time went" in page


def test_characters_that_hide_or_turn_are_shown(personas: Personas, browse: Browse) -> None:
    hidden = "\u202egnp\u202c\u200b\u2028\x1b\xad\U000e0041"
    shown = r"\u202egnp\u202c\u200b\u2028\x1b\xad\U000e0041"
    regex = f"a{hidden}b"
    check = make_check(
        personas.client, personas.region, url="https://example.com/", regex=[regex, "שלום é"]
    )
    verdict = {"kind": "regex", "expected": regex, "got": f"got{hidden}", "ok": False}
    document = {
        "assertions": [verdict],
        "evidence": {"headers": [["X-Made", f"by{hidden}"]], "body": f"one\r\n\ttwo{hidden}"},
        "certificate": {"not_after": 1_800_000_000, "issuer": f"CA{hidden}", "subject": "x"},
        "hops": [{"url": f"https://a.test/{hidden}", "http_status": 301}],
    }
    path = result_of(check, document, http_status=200)
    viewer = browse(personas.viewer)
    page = viewer.get(path).content.decode()
    texts = (f"a{shown}b", f"got{shown}", f"by{shown}", f"CA{shown}", f"https://a.test/{shown}")
    for said in texts:
        assert f"<bdi>{said}</bdi>" in page, said
    assert f"<bdi>one\r\n\ttwo{shown}</bdi>" in page
    listed = viewer.get(f"/checks/{check.pk}/").content.decode()
    assert f"<bdi>a{shown}b</bdi>" in listed
    assert "<bdi>שלום é</bdi>" in listed, "letters of other scripts stay, and turn nothing else"
    for char in "\u202e\u200b\u2028\x1b\xad":
        assert char not in page + listed


def test_the_list_shows_one_kind(personas: Personas, browse: Browse) -> None:
    tcp = {"kind": "tcp", "url": "tcp://db.example.com:5432"}
    make_check(personas.client, personas.region, name="Shop", url="https://example.com/")
    make_check(personas.client, personas.region, name="Store", **tcp)
    make_check(personas.client, personas.region, name="Second", state="down", **tcp)
    viewer = browse(personas.viewer)

    def named(query: str) -> list[str]:
        page = viewer.get(f"/checks/{query}").content.decode()
        return re.findall(r'data-check-name="(\w+)"', page)

    assert named("?kind=tcp") == ["Second", "Store"]
    assert named("?kind=tcp&state=down") == ["Second"]
    assert named("?kind=tcp&q=sto") == ["Store"]
    assert named("?kind=icmp") == named("") == ["Second", "Shop", "Store"]
    page = viewer.get("/checks/?kind=tcp&q=s&state=down").content.decode()
    assert 'value="tcp" selected' in page
    assert 'href="?state=up&amp;kind=tcp&amp;q=s"' in page, "other states keep kind and text"
    assert "1 check of 3" in viewer.get("/checks/?kind=http").content.decode()
    assert "No check matches" in viewer.get("/checks/?kind=dns").content.decode()
