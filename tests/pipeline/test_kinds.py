"""Every kind of probe on the whole way: stored check > snapshot > sealed batch > worker > report > row and page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from checks.models import Check, Evidence, RegionState, Result
from checks.models.result import OUTCOME_OF
from checks.services import create_check
from fanout_lambdas.objectstore import ObjectStore
from tests.conftest import Personas
from tests.nameserver import name_server
from tests.pipeline.test_story import InProcess, config, engine, probe_minute
from tests.targets import answer, authority, replies, serve

__all__ = ["config", "engine"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)


def test_each_kind_is_probed_as_it_was_saved(
    personas: Personas,
    store: ObjectStore,
    engine: InProcess,
    browse: Callable[[Any], Browser],
) -> None:
    now = timezone.now()

    def saved(**fields: Any) -> Check:
        given = {"interval_s": 60, "timeout_ms": 2_000, **fields}
        return create_check(client=personas.client, actor=personas.owner, now=now, **given)

    body = b'{"status": "ok", "items": [1, 2]}'
    with (
        serve(replies(answer("200 OK", body, "Content-Type: application/json"))) as web,
        serve(replies(b"+PONG\r\n")) as port,
        serve(replies(answer()), context=authority().context("127.0.0.1", days=9)) as secure,
        name_server({"shop.test MX": ["10 mail.shop.test"]}) as names,
    ):
        http = saved(
            url=web.url(),
            auth={"type": "bearer", "token": "s3cret"},
            json=[{"path": "$.items", "op": "length", "value": 2}],
            header=[{"name": "Content-Type", "op": "matches", "value": "json$"}],
        )
        tcp = saved(
            kind="tcp", url=f"127.0.0.1:{port.port}", send=r"s3cret\r\n\r\n", expect=r"+PONG\r\n"
        )
        tls = saved(kind="tls", url=f"127.0.0.1:{secure.port}", verify_tls=False)
        dns = saved(
            kind="dns",
            url="shop.test",
            record_type="MX",
            name_server=names.place,
            record_values=["20 other.shop.test"],
        )
        beat = create_check(
            client=personas.client, actor=personas.owner, now=now, kind="heartbeat", name="Backup"
        )
        # Sixty seconds: each check has a slot in them, none is too late, and the last is waited for.
        probe_minute(int(timezone.now().timestamp()) - 50, store, engine)

    seen = {row.check_id: OUTCOME_OF[row.outcome].value for row in Result.objects.across_clients()}
    assert seen == {http.pk: "up", tcp.pk: "up", tls.pk: "degraded", dns.pk: "down"}
    assert beat.pk not in seen
    assert b"Authorization: Bearer s3cret" in web.requests[0]
    assert port.requests[0] == b"s3cret\r\n\r\n"
    stored = " ".join(str(row.document) for row in Evidence.objects.across_clients())
    assert "s3cret" not in stored

    ends = RegionState.objects.across_clients().get(check_id=tls.pk).cert_not_after
    assert ends is not None
    assert timedelta(days=8) < ends - now < timedelta(days=10)
    failed = Result.objects.across_clients().get(check_id=dns.pk)
    path = f"/checks/{dns.pk}/results/{int(failed.at.timestamp())}-{failed.region}/"
    page = browse(personas.viewer).get(path).content.decode()
    assert "20 other.shop.test" in page
    assert "10 mail.shop.test" in page
