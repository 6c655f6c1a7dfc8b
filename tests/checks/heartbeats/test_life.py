"""What people do to a heartbeat, through the services that pages and API use."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError

from checks import services
from checks.heartbeats.calls import UnknownKey
from checks.heartbeats.overdue import judge_overdue
from checks.models import Check, ExtraSlot
from checks.pipeline.plans import check_plans
from tests.checks.heartbeats.beats import (
    MINUTE,
    NOON,
    SECOND,
    beat_of,
    call,
    hearing,
    incidents,
    outcomes,
    state_of,
)
from tests.conftest import Personas


@pytest.fixture
def check(personas: Personas) -> Check:
    return services.create_check(
        client=personas.client,
        actor=personas.editor,
        now=NOON,
        name="Backup",
        kind="heartbeat",
        interval_s=3600,
        grace_s=300,
    )


def test_a_heartbeat_is_never_probed(check: Check) -> None:
    assert not ExtraSlot.objects.for_client(check.client).exists()
    assert check_plans([check.pk]) == []
    assert (check.down_after, check.up_after, check.quorum) == (1, 1, 1)


def test_from_its_making_to_its_end(check: Check, personas: Personas) -> None:
    actor = personas.editor
    hearing(NOON, NOON + timedelta(days=1))
    call(check, at=NOON)
    judge_overdue(now=NOON + 65 * MINUTE)
    assert state_of(check) == "down"

    services.pause_check(check, actor=actor, now=NOON + 70 * MINUTE)
    (incident,) = incidents(check)
    assert (incident.silent, state_of(check)) == (True, "paused")
    call(check, at=NOON + 80 * MINUTE)
    assert outcomes(check) == ["up", "down"]

    services.resume_check(check, actor=actor, now=NOON + 90 * MINUTE)
    assert (state_of(check), beat_of(check).due_at) == ("new", NOON + 155 * MINUTE)
    judge_overdue(now=NOON + 155 * MINUTE)
    assert state_of(check) == "down"
    call(check, at=NOON + 160 * MINUTE)
    assert state_of(check) == "up"

    key = beat_of(check).key
    services.delete_check(check, actor=actor, now=NOON + 170 * MINUTE)
    assert judge_overdue(now=NOON + timedelta(days=1)).down == 0
    assert beat_of(check).key == key
    with pytest.raises(UnknownKey):
        call(check, at=NOON + 180 * MINUTE)


def test_a_new_schedule_moves_the_deadline_and_loses_no_result(
    check: Check, personas: Personas
) -> None:
    call(check, at=NOON)
    services.update_check(
        check, actor=personas.editor, now=NOON + MINUTE, interval_s=7200, grace_s=600
    )
    assert beat_of(check).due_at == NOON + 130 * MINUTE
    services.update_check(
        check,
        actor=personas.editor,
        now=NOON + 2 * MINUTE,
        cron=f"30 {NOON.hour} * * *",
        timezone="UTC",
    )
    assert beat_of(check).due_at == NOON + 40 * MINUTE
    # another period means another grid; the call of the same moment is stored all the same
    call(check, "fail", at=NOON + 2 * MINUTE + SECOND)
    assert (outcomes(check), state_of(check)) == (["up", "down"], "down")


def test_a_change_in_a_long_silence_does_not_make_it_unknown(
    check: Check, personas: Personas
) -> None:
    services.update_check(check, actor=None, now=NOON, interval_s=60, grace_s=86_400)
    call(check, at=NOON)
    now = NOON + timedelta(hours=12)
    services.update_check(check, actor=personas.editor, now=now, interval_s=120)
    assert state_of(check) == "up"
    since = Check.objects.for_client(check.client).get(pk=check.pk).state_since
    call(check, at=now + MINUTE)
    assert Check.objects.for_client(check.client).get(pk=check.pk).state_since == since


@pytest.mark.parametrize(
    "fields",
    [
        {"interval_s": 59},
        {"interval_s": 367 * 86_400},
        {"grace_s": 9},
        {"cron": "every day"},
        {"timezone": "Mars/Base"},
        {"kind": "http", "url": "https://example.com/"},
    ],
)
def test_refused(check: Check, personas: Personas, fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        services.update_check(check, actor=personas.editor, now=NOON, **fields)
    assert set(caught.value.message_dict) <= set(fields)


def test_a_web_check_does_not_become_a_heartbeat(personas: Personas) -> None:
    web = services.create_check(
        client=personas.client, actor=None, now=NOON, url="https://example.com/"
    )
    with pytest.raises(ValidationError):
        services.update_check(web, actor=None, now=NOON, kind="heartbeat", url="")
