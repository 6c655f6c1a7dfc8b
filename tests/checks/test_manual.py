"""Test now: a real probe of a real server, without a trace in the history."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from django.core.exceptions import ValidationError

from checks import manual, services
from checks.masking import MASK
from checks.models import ExtraSlot, Result
from clients.rate import RateLimited
from fanout_lambdas.shared.contracts import Result as ProbeResult
from tests.conftest import Personas
from tests.nameserver import name_server
from tests.targets import answer, authority, replies, serve

NOW = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)


@pytest.fixture
def target() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"hello {self.headers.get('X-Token', 'nobody')}".encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


def test_a_draft_a_check_and_a_changed_check_are_probed_at_once(
    personas: Personas, target: str
) -> None:
    who = {"client": personas.client, "actor": personas.owner, "now": NOW}
    draft = manual.test_now(**who, url=target, keyword=["hello"])
    assert (draft.outcome, draft.http_status, draft.check_id) == ("up", 200, 0)
    assert draft.total_us > 0

    check = services.create_check(
        **who, url=target, headers={"X-Token": "t0ken"}, keyword=["t0ken"]
    )
    planned = ExtraSlot.objects.for_client(personas.client).count()  # the first probes'
    assert manual.test_now(**who, check=check).outcome == "up"
    changed = manual.test_now(**who, check=check, keyword=["absent"], headers={"X-Token": MASK})
    assert (changed.outcome, changed.reason, changed.check_id) == ("down", "keyword", check.pk)
    assert "t0ken" not in str(changed.to_json())

    assert check.state == "new"
    assert not Result.objects.for_client(personas.client).exists()
    assert ExtraSlot.objects.for_client(personas.client).count() == planned


def test_a_draft_at_another_host_is_not_sent_what_is_stored(
    personas: Personas, target: str
) -> None:
    who = {"client": personas.client, "actor": personas.owner, "now": NOW}
    check = services.create_check(**who, url="https://api.example.com/", headers={"X-Token": "t0"})
    drafts: list[dict[str, Any]] = [{}, {"headers": {"X-Token": MASK}}]
    for draft in drafts:
        with pytest.raises(ValidationError) as error:
            manual.test_now(**who, check=check, url=target, **draft)
        assert error.value.error_dict["headers"][0].code == "origin_changed"
    fresh = manual.test_now(
        **who, check=check, url=target, headers={"X-Token": "fresh"}, keyword=["hello fresh"]
    )
    assert fresh.outcome == "up"


def test_the_address_guard_stands_before_it(personas: Personas) -> None:
    with pytest.raises(ValidationError):
        manual.test_now(
            client=personas.client, actor=None, now=NOW, url="http://169.254.169.254/latest"
        )


def test_ten_a_minute_for_each_client(personas: Personas, target: str) -> None:
    for _ in range(10):
        manual.test_now(client=personas.client, actor=None, now=NOW, url=target)
    with pytest.raises(RateLimited) as refused:
        manual.test_now(client=personas.client, actor=None, now=NOW, url=target)
    assert refused.value.retry_after == 55
    manual.test_now(client=personas.stranger_client, actor=None, now=NOW, url=target)
    later = NOW + timedelta(seconds=55)
    manual.test_now(client=personas.client, actor=None, now=later, url=target)


def test_a_port_a_certificate_and_a_record_are_probed_at_once(personas: Personas) -> None:
    def tried(**fields: Any) -> ProbeResult:
        return manual.test_now(client=personas.client, actor=personas.owner, now=NOW, **fields)

    said = {"send": r"PING\r\n\r\n", "expect": r"+PONG\r\n"}
    with serve(replies(b"+PONG\r\n")) as port:
        place = f"127.0.0.1:{port.port}"
        tcp = tried(kind="tcp", url=place, **said)
        wrong = tried(kind="tcp", url=place, **{**said, "expect": "220 mail"})
    assert (tcp.outcome, tcp.http_status) == ("up", None)
    assert [(one.kind, one.ok) for one in wrong.assertions] == [("expect", False)]

    with serve(replies(answer()), context=authority().context("127.0.0.1")) as secure:
        tls = tried(kind="tls", url=f"127.0.0.1:{secure.port}")
        trusting = tried(kind="tls", url=f"127.0.0.1:{secure.port}", verify_tls=False)
    assert (tls.outcome, tls.reason) == ("down", "tls"), "nobody knows its authority"
    assert (trusting.outcome, trusting.certificate is not None) == ("up", True)

    with name_server({"shop.test MX": ["10 mail.shop.test"]}) as server:
        dns = tried(
            kind="dns",
            url="shop.test",
            record_type="MX",
            name_server=server.place,
            record_values=["10 mail.shop.test"],
        )
    assert (dns.outcome, dns.assertions[0].got) == ("up", "10 mail.shop.test")


def test_a_heartbeat_is_not_probed(personas: Personas) -> None:
    with pytest.raises(ValidationError) as error:
        manual.test_now(
            client=personas.client, actor=None, now=NOW, kind="heartbeat", name="Backup"
        )
    assert error.value.messages == ["A heartbeat is not probed: its job calls us."]
