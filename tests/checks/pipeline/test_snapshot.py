"""Hop 0: one document with everything that is probed, and a run for each region."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from checks.drafts import settings_of
from checks.manual import probe_of
from checks.models import Check, MinuteRun, Region, RegionState
from checks.models.result import OUTCOMES, REASONS
from checks.pipeline.plans import check_plans
from checks.pipeline.snapshot import take_snapshot
from fanout_lambdas.objectstore import ObjectStore, snapshot_key
from fanout_lambdas.planning import BATCHED, plan_batches
from fanout_lambdas.sealing import Sealer, new_key
from fanout_lambdas.shared.contracts import Outcome, Probe, Reason
from fanout_lambdas.shared.contracts.snapshot import Snapshot
from tests.checks.pipeline.fleet import MINUTE, at, check, client
from tests.regions import local_region

pytestmark = pytest.mark.django_db
NOW = at(MINUTE - 30)


def read(store: ObjectStore, minute: int = MINUTE) -> Snapshot:
    return Snapshot.from_bytes(store.get(snapshot_key(minute)))


def test_only_what_is_probed_is_in_it(store: ObjectStore) -> None:
    watched = check()
    check(paused_at=NOW)
    check(deleted_at=NOW)
    check(client("broke", suspended_at=NOW))

    report = take_snapshot(MINUTE, now=NOW, store=store)

    assert [plan.check_id for plan in read(store).checks] == [watched.pk]
    assert (report.checks, report.planned, report.batches) == (1, 1, 1)


def test_the_run_holds_the_plan_that_the_dispatcher_will_make(store: ObjectStore) -> None:
    for _ in range(150):
        check()
    check(interval_s=10, timeout_ms=2_000)

    take_snapshot(MINUTE, now=NOW, store=store)

    run = MinuteRun.objects.get()
    batches = plan_batches(read(store), MINUTE, "local", BATCHED)
    assert run.planned == 150 + 6 == sum(len(batch.probes) for batch in batches)
    assert run.snapshot_key == snapshot_key(MINUTE)
    assert [row[:4] for row in run.batches] == [
        [batch.number, batch.not_before, batch.deadline, len(batch.probes)] for batch in batches
    ]
    # last slot + the longest timeout in the batch + grace
    assert all(deadline - 60 + 10 + 5 == due for _, _, deadline, _, due in run.batches)


def test_on_lambda_a_batch_is_not_taken_for_lost_because_it_started_cold(
    store: ObjectStore, settings: Any
) -> None:
    settings.PROBE_ENGINE = "lambda"
    check(timeout_ms=2_000)

    take_snapshot(MINUTE, now=NOW, store=store)

    ((_, not_before, deadline, _, due),) = MinuteRun.objects.get().batches
    assert not_before == deadline - 60  # it starts at its last slot and waits for none
    assert due == not_before + 2 + 15


def test_a_second_call_changes_nothing(store: ObjectStore) -> None:
    check()
    take_snapshot(MINUTE, now=NOW, store=store)
    before = store.get(snapshot_key(MINUTE)), list(MinuteRun.objects.values())
    check()

    report = take_snapshot(MINUTE, now=NOW, store=store)

    assert report.repeated
    assert (store.get(snapshot_key(MINUTE)), list(MinuteRun.objects.values())) == before


def test_a_crash_between_document_and_runs_is_made_good_from_the_document(
    store: ObjectStore,
) -> None:
    check()
    take_snapshot(MINUTE, now=NOW, store=store)
    MinuteRun.objects.all().delete()
    check()

    take_snapshot(MINUTE, now=NOW, store=store)

    assert MinuteRun.objects.get().planned == 1


def test_each_region_has_its_run_and_its_checks(store: ObjectStore) -> None:
    local = local_region()
    mars = Region.objects.create(code="mars", name="Mars", sealing_key=new_key())
    Region.objects.create(code="gone", name="Gone", sealing_key=new_key(), active=False)
    check()
    check(regions=[local.id, mars.id])

    take_snapshot(MINUTE, now=NOW, store=store)

    planned = dict(MinuteRun.objects.values_list("region__code", "planned"))
    assert planned == {"local": 2, "mars": 1}


def test_secrets_travel_sealed_and_come_out_whole(store: ObjectStore) -> None:
    region = local_region()
    check(
        method="POST",
        headers=json.dumps({"Authorization": "Bearer a-planted-secret"}),
        body="token=a-planted-secret",
    )

    take_snapshot(MINUTE, now=NOW, store=store)

    snapshot = read(store)
    assert "a-planted-secret" not in json.dumps([plan.to_json() for plan in snapshot.checks])
    (plan,) = snapshot.checks
    assert plan.sealed is not None
    assert Sealer([region.sealing_key]).open(plan.sealed["local"]) == {
        "headers": {"Authorization": "Bearer a-planted-secret"},
        "body": "token=a-planted-secret",
    }


def test_changed_secrets_and_keys_are_sealed_anew(store: ObjectStore) -> None:
    region = local_region()
    one = check(body="old")
    take_snapshot(MINUTE, now=NOW, store=store)
    one.body = "new"
    one.save(update_fields=["body"])
    region.sealing_key = new_key()
    region.save(update_fields=["sealing_key"])

    take_snapshot(MINUTE + 60, now=NOW, store=store)

    (plan,) = read(store, MINUTE + 60).checks
    assert plan.sealed is not None
    assert Sealer([region.sealing_key]).open(plan.sealed["local"]) == {"body": "new"}


def test_one_unreadable_secret_leaves_out_one_check(store: ObjectStore) -> None:
    good, bad = check(), check(body="x")
    with connection.cursor() as cursor:
        cursor.execute("update checks_check set body = 'garbage' where id = %s", [bad.pk])

    take_snapshot(MINUTE, now=NOW, store=store)

    assert [plan.check_id for plan in read(store).checks] == [good.pk]


def test_requests_carry_what_the_client_asked_for() -> None:
    fields: dict[str, Any] = {
        "url": "https://shop.test/",
        "method": "HEAD",
        "timeout_ms": 3_000,
        "follow_redirects": False,
        "max_redirects": 2,
        "verify_tls": False,
        "family": "6",
        "max_body_bytes": 1_000,
        "expected_status": ["204", "300-399"],
        "keyword": ["yes"],
        "keyword_absent": ["no"],
        "max_latency_ms": 400,
        "cert_min_days": 21,
    }
    check(**fields)

    (plan,) = check_plans(now=NOW)

    probe = Probe.from_json({"check_id": 1, "slot": MINUTE, **plan.request})
    for name, value in fields.items():
        assert getattr(probe, name) == (tuple(value) if isinstance(value, list) else value), name


def test_defaults_are_those_of_the_form_too() -> None:
    one = check()

    (plan,) = check_plans(now=NOW)

    probe = Probe.from_json({"check_id": 1, "slot": MINUTE, **plan.request})
    for name in ("method", "timeout_ms", "follow_redirects", "max_redirects", "verify_tls"):
        assert getattr(probe, name) == getattr(one, name), name
    assert probe.max_body_bytes == one.max_body_bytes


KINDS: dict[str, dict[str, Any]] = {
    "http": {
        "url": "https://shop.test/",
        "method": "POST",
        "family": "6",
        "expected_status": ["200", "404"],
        "expected_url": "https://shop.test/home",
        "regex": ["a+"],
        "regex_absent": ["b+"],
        "json": [{"path": "$.error", "op": "==", "value": None}],
        "header": [{"name": "Server", "op": "absent"}],
        "max_body_bytes": 9_000,
        "min_body_bytes": 5,
        "max_latency_ms": 400,
        "max_latency_outcome": "down",
        "verify_tls": False,
        "cert_min_days": 21,
        "max_redirects": 0,
    },
    "tcp": {"url": "tcp://shop.test:8443", "expect": "PONG", "timeout_ms": 2_000},
    "tls": {"url": "tls://shop.test", "cert_min_days": 30, "verify_tls": False},
    "dns": {
        "url": "dns://shop.test",
        "record_type": "MX",
        "record_values": ["10 mail.shop.test"],
        "name_server": "9.9.9.9",
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_request_of_each_kind_is_what_a_worker_reads(kind: str) -> None:
    check(kind=kind, **KINDS[kind])
    one = Check.objects.across_clients().get()

    (plan,) = check_plans(now=NOW)

    probe = Probe.from_json({"check_id": one.pk, "slot": MINUTE, **plan.request})
    assert probe == probe_of(settings_of(one), check_id=one.pk, slot=MINUTE)


@pytest.mark.parametrize(
    ("kind", "url", "more"),
    [
        ("http", "http://shop.test/", {"max_redirects": 5}),
        ("http", "https://shop.test/", {"max_redirects": 5, "cert_min_days": 14}),
        ("tcp", "tcp://shop.test:8443", {"kind": "tcp"}),
        ("tls", "tls://shop.test", {"kind": "tls", "cert_min_days": 14}),
        ("dns", "dns://shop.test", {"kind": "dns"}),
    ],
)
def test_only_what_differs_from_the_contract_is_in_a_request(
    kind: str, url: str, more: dict[str, Any]
) -> None:
    check(kind=kind, url=url)

    (plan,) = check_plans(now=NOW)

    assert plan.request == {"url": url, **more}


def test_credentials_and_texts_are_sealed_too(store: ObjectStore) -> None:
    region = local_region()
    auth = {"type": "bearer", "token": "a-planted-secret"}
    web = check(auth=json.dumps(auth))
    tcp = check(kind="tcp", url="tcp://shop.test:8443", send="a-planted-secret")

    take_snapshot(MINUTE, now=NOW, store=store)

    plans = {plan.check_id: plan for plan in read(store).checks}
    assert "a-planted-secret" not in json.dumps([plan.to_json() for plan in plans.values()])
    sealer = Sealer([region.sealing_key])
    opened = {
        number: sealer.open(plan.sealed["local"]) for number, plan in plans.items() if plan.sealed
    }
    assert opened == {web.pk: {"auth": auth}, tcp.pk: {"send": "a-planted-secret"}}


def test_a_heartbeat_is_not_planned() -> None:
    watched = check()
    check(kind="heartbeat", url="", interval_s=3_600)

    assert [plan.check_id for plan in check_plans(now=NOW)] == [watched.pk]


def test_who_timed_out_lately_rides_in_the_slow_lane() -> None:
    region = local_region()

    def seen(ago_s: int, reason: Reason) -> Check:
        one = check()
        RegionState.objects.create(
            check_id=one.pk,
            region=region.id,
            client_id=one.client_id,
            memory=[],
            last_at=at(NOW.timestamp() - ago_s),
            last_outcome=OUTCOMES[Outcome.DOWN],
            last_reason=REASONS[reason],
            last_total_us=10_000_000,
        )
        return one

    hanging, refused, long_ago = (
        seen(60, Reason.TIMEOUT),
        seen(60, Reason.CONNECTION),
        seen(7200, Reason.TIMEOUT),
    )

    slow = {plan.check_id: plan.slow for plan in check_plans(now=NOW)}

    assert slow == {hanging.pk: True, refused.pk: False, long_ago.pk: False}


def test_nothing_is_written_per_check(store: ObjectStore) -> None:
    for _ in range(30):
        check()
    with CaptureQueriesContext(
        connection,
    ) as few:
        take_snapshot(MINUTE, now=NOW, store=store)
    for _ in range(30):
        check()
    with CaptureQueriesContext(connection) as many:
        take_snapshot(MINUTE + 60, now=NOW, store=store)

    assert len(few) == len(many) < 10
