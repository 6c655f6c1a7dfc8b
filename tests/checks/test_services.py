"""What people do to checks: create within the plan, change, pause, resume, delete."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from checks import services
from checks.masking import MASK, auth_of, headers_of
from checks.models import Check, ExtraSlot, Heartbeat, Incident, Region, RegionState
from checks.signals import recheck_due
from checks.targets import target_words
from clients.models import AuditEvent, Client
from fanout_lambdas.shared.slots import GRID_S, phase
from tests.conftest import Personas

NOW = datetime(2026, 11, 23, 12, 0, 5, tzinfo=UTC)
SOON = datetime(2026, 11, 23, 12, 1, 5, tzinfo=UTC)
LATER = datetime(2026, 11, 23, 12, 30, 5, tzinfo=UTC)


def make(personas: Personas, **fields: Any) -> Check:
    given = {"name": "Site", "url": "https://example.com/", **fields}
    return services.create_check(client=personas.client, actor=personas.owner, now=NOW, **given)


def rules(error: ValidationError) -> dict[str, str]:
    return {name: found[0].code or "" for name, found in error.error_dict.items()}


def test_a_new_check_has_sound_defaults_and_gets_a_slot_at_once(
    personas: Personas, django_capture_on_commit_callbacks: Any
) -> None:
    heard: list[object] = []

    def hear(sender: object, **_: Any) -> None:
        heard.append(sender)

    recheck_due.connect(hear)
    with django_capture_on_commit_callbacks(execute=True):
        check = services.create_check(
            client=personas.client,
            actor=personas.owner,
            now=NOW,
            url=" https://api.example.com/v1 ",
        )
    recheck_due.disconnect(hear)
    assert (check.name, check.url, check.state) == (
        "api.example.com",
        "https://api.example.com/v1",
        "new",
    )
    assert check.regions == [personas.region.pk]
    first, *regular = ExtraSlot.objects.for_client(personas.client).order_by("slot")
    assert 0 < (first.slot - NOW).total_seconds() <= GRID_S
    assert (first.slot.timestamp() - phase(check.pk, 60)) % GRID_S == 0
    # Until a snapshot knows the check, its regular slots are sent out as extra ones: rechecks rely on them.
    covered = {slot.slot.timestamp() for slot in [first, *regular]}
    for second in range(int(NOW.timestamp()) + 1, int(NOW.timestamp()) + 120):
        if (second - phase(check.pk, 60)) % 60 == 0:
            assert second in covered
    assert heard == [Check]
    line = AuditEvent.objects.for_client(personas.client).get()
    assert (line.action, line.actor_label, line.subject_id) == (
        "check.created",
        "owner@acme.test",
        check.pk,
    )


def test_a_short_interval_needs_a_plan_and_a_shorter_timeout(personas: Personas) -> None:
    personas.client.minimum_interval_s = 10
    personas.client.save()
    assert make(personas, interval_s=10).timeout_ms == 9_000
    with pytest.raises(ValidationError) as error:
        make(personas, interval_s=10, timeout_ms=10_000)
    assert rules(error.value) == {"timeout_ms": "interval"}


def test_the_check_beyond_the_plan_is_refused_with_a_sentence(personas: Personas) -> None:
    made = [make(personas, name=f"n{n}") for n in range(10)]
    with pytest.raises(ValidationError) as error:
        make(personas)
    assert error.value.messages == [
        "Your plan allows 10 checks, and all 10 are in use. Delete one, or ask us for more."
    ]
    services.delete_check(made[0], actor=personas.owner, now=NOW)
    make(personas)


@pytest.mark.django_db(transaction=True)
def test_two_requests_cannot_both_take_the_last_place(personas: Personas) -> None:
    Client.objects.filter(pk=personas.client.pk).update(check_limit=1)
    start, outcomes = threading.Barrier(4), []

    def create() -> None:
        start.wait()
        try:
            make(personas)
            outcomes.append("made")
        except ValidationError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["made", "refused", "refused", "refused"]


def test_a_change_raises_the_version_and_is_logged_without_secrets(personas: Personas) -> None:
    check = make(personas)
    services.update_check(
        check,
        actor=personas.editor,
        now=LATER,
        name="Shop",
        headers={"Authorization": "Bearer s3cret"},
    )
    assert (check.version, check.name, check.updated_at) == (2, "Shop", LATER)
    assert headers_of(check) == {"Authorization": "Bearer s3cret"}
    line = AuditEvent.objects.for_client(personas.client).latest("pk")
    assert line.detail["changes"] == {
        "name": ["Site", "Shop"],
        "headers": ["(hidden)", "(hidden)"],
    }
    with connection.cursor() as cursor:
        cursor.execute("select headers from checks_check where id = %s", [check.pk])
        assert "s3cret" not in cursor.fetchone()[0]
    services.update_check(check, actor=personas.editor, now=LATER, name="Shop")
    assert check.version == 2


def test_rules_over_two_fields_hold_for_changes_too(personas: Personas) -> None:
    check = make(personas, method="POST", body="{}")
    with pytest.raises(ValidationError) as error:
        services.update_check(check, actor=personas.owner, now=LATER, method="GET")
    assert rules(error.value) == {"body": "method"}
    check.refresh_from_db(from_queryset=Check.objects.for_client(personas.client))
    assert check.method == "POST"


def test_pausing_ends_an_incident_silently_and_resuming_gives_new(personas: Personas) -> None:
    check = make(personas)
    Check.objects.for_client(personas.client).filter(pk=check.pk).update(state="down")
    incident = Incident.objects.create(
        client=personas.client,
        subject=check,
        started_at=NOW,
        opened_at=NOW,
        first_bad_at=NOW,
        reason="status",
        message="500",
    )
    services.pause_check(check, actor=personas.owner, now=LATER)
    assert (check.state, check.paused_at) == ("paused", LATER)
    assert not ExtraSlot.objects.for_client(personas.client).filter(closed_at=None).exists()
    incident.refresh_from_db(from_queryset=Incident.objects.for_client(personas.client))
    assert incident.silent
    assert incident.resolved_at == incident.ended_at == LATER.replace(microsecond=0)
    services.pause_check(check, actor=personas.owner, now=LATER)

    services.resume_check(check, actor=personas.owner, now=LATER)
    assert (check.state, check.paused_at) == ("new", None)
    memory = RegionState.objects.for_client(personas.client).get().memory
    assert memory[0] == int(LATER.timestamp())  # blind to every slot before
    waiting = ExtraSlot.objects.for_client(personas.client).filter(closed_at=None)
    assert {slot.why for slot in waiting} == {"first"}
    actions = AuditEvent.objects.for_client(personas.client).order_by("pk")
    assert [line.action for line in actions] == ["check.created", "check.paused", "check.resumed"]


def test_a_deleted_check_is_gone_for_every_verb(personas: Personas) -> None:
    check = make(personas)
    services.delete_check(check, actor=None, now=LATER)
    assert check.deleted_at == LATER
    for verb in (services.pause_check, services.resume_check, services.update_check):
        with pytest.raises(Check.DoesNotExist):
            verb(check, actor=None, now=LATER)


def test_a_new_interval_moves_the_grid_and_keeps_the_state(personas: Personas) -> None:
    check = make(personas)
    Check.objects.for_client(personas.client).filter(pk=check.pk).update(state="up")
    services.update_check(check, actor=personas.owner, now=SOON, interval_s=300)
    assert (check.interval_s, check.state) == (300, "up")
    waiting = ExtraSlot.objects.for_client(personas.client).filter(closed_at=None)
    assert waiting.exists()
    for slot in waiting:
        assert (slot.slot.timestamp() - phase(check.pk, 300)) % GRID_S == 0


def test_masked_headers_keep_what_is_stored(personas: Personas) -> None:
    check = make(personas, headers={"Authorization": "Bearer s3cret", "X-Old": "1"})
    services.update_check(
        check,
        actor=personas.owner,
        now=LATER,
        headers={"authorization": MASK, "X-New": "2"},
    )
    assert headers_of(check) == {"authorization": "Bearer s3cret", "X-New": "2"}


def test_a_region_that_closed_may_stay_but_not_come(personas: Personas) -> None:
    check = make(personas)
    closed = Region.objects.create(code="moon", name="Moon", sealing_key="k", active=False)
    Region.objects.filter(pk=personas.region.pk).update(active=False)
    kept = [personas.region.pk]
    services.update_check(check, actor=None, now=LATER, regions=kept, name="Kept")
    with pytest.raises(ValidationError):
        services.update_check(check, actor=None, now=LATER, regions=[closed.pk])


def test_a_refused_address_leaves_a_trace(
    personas: Personas, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ValidationError):
        make(personas, url="http://169.254.169.254/latest")
    assert f"refused url client={personas.client.pk} rule=metadata" in caplog.text


def test_refused_texts_and_name_servers_leave_a_trace_too(
    personas: Personas, caplog: pytest.LogCaptureFixture, settings: Any
) -> None:
    settings.ALLOW_NETWORKS = ()
    drafts: list[dict[str, Any]] = [
        {"kind": "tcp", "url": "mail.example.com:25", "send": "EHLO me"},
        {"kind": "dns", "url": "example.com", "name_server": "127.0.0.53:5353"},
    ]
    for fields in drafts:
        with pytest.raises(ValidationError):
            services.create_check(
                client=personas.client, actor=personas.owner, now=NOW, name="x", **fields
            )
    assert f"refused send client={personas.client.pk} rule=port" in caplog.text
    assert f"refused name_server client={personas.client.pk} rule=" in caplog.text


KINDS: dict[str, tuple[dict[str, Any], str, str]] = {
    "tcp": ({"url": "DB.example.com:8443"}, "tcp://db.example.com:8443", "db.example.com:8443"),
    "tls": ({"url": "mail.example.com:993"}, "tls://mail.example.com:993", "mail.example.com:993"),
    "dns": ({"url": "example.com", "record_type": "MX"}, "dns://example.com", "MX example.com"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_check_of_each_probed_kind_is_named_after_its_target(
    personas: Personas, kind: str
) -> None:
    fields, url, name = KINDS[kind]
    check = services.create_check(
        client=personas.client, actor=personas.owner, now=NOW, kind=kind, **fields
    )
    assert (check.kind, check.url, check.name, target_words(check)) == (kind, url, name, name)
    assert ExtraSlot.objects.for_client(personas.client).filter(subject=check).exists()


def test_a_heartbeat_waits_for_its_job(personas: Personas) -> None:
    who = {"client": personas.client, "actor": personas.owner, "now": NOW}
    check = services.create_check(**who, kind="heartbeat", name="Backup", interval_s=86_400)
    region = Region.objects.get(pk=check.regions[0])
    assert (region.code, region.active) == ("heartbeat", False)
    assert (check.url, check.down_after, check.up_after, check.quorum) == ("", 1, 1, 1)
    assert Heartbeat.objects.for_client(personas.client).filter(pk=check.pk).exists()
    services.update_check(check, actor=personas.owner, now=LATER, cron="30 2 * * *", grace_s=60)
    services.pause_check(check, actor=personas.owner, now=LATER)
    services.resume_check(check, actor=personas.owner, now=LATER)
    assert target_words(check) == "Cron 30 2 * * *, UTC"
    assert not ExtraSlot.objects.for_client(personas.client).exists(), "nobody probes it"
    with pytest.raises(ValidationError) as error:
        services.create_check(**who, kind="heartbeat")
    assert rules(error.value) == {"name": "empty"}


def test_a_check_keeps_its_kind(personas: Personas) -> None:
    check = make(personas)
    for kind in ("tcp", "heartbeat", "nonsense"):
        with pytest.raises(ValidationError) as error:
            services.update_check(check, actor=personas.owner, now=LATER, kind=kind)
        assert rules(error.value) == {"kind": "fixed"}
    services.update_check(check, actor=personas.owner, now=LATER, kind="http", name="Same")


def test_credentials_and_texts_are_stored_and_logged_unread(personas: Personas) -> None:
    web = make(personas, auth={"type": "basic", "username": "bob", "password": "s3cret"})
    tcp = services.create_check(
        client=personas.client,
        actor=personas.owner,
        now=NOW,
        kind="tcp",
        url="example.com:8443",
        send="s3cret",
    )
    services.update_check(
        web, actor=personas.owner, now=LATER, auth={"type": "bearer", "token": "s3cret"}
    )
    services.update_check(tcp, actor=personas.owner, now=LATER, send="s3cret too")
    assert auth_of(web) == {"type": "bearer", "token": "s3cret"}
    assert tcp.send == "s3cret too"
    with connection.cursor() as cursor:
        cursor.execute("select auth || send from checks_check")
        assert not any("s3cret" in row[0] for row in cursor.fetchall())
    lines = AuditEvent.objects.for_client(personas.client).filter(action="check.updated")
    assert len(lines) == 2
    for line in lines:
        (pair,) = line.detail["changes"].values()
        assert pair == ["(hidden)", "(hidden)"]
    services.update_check(web, actor=personas.owner, now=LATER, auth=None)
    assert (web.auth, auth_of(web)) == ("", None)
