"""The API's own addresses of heartbeats: calls and key, for whom and for whom not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from checks.models import Check
from clients.apikeys import create_key
from tests.checks.heartbeats.beats import NOON, SECOND, beat_of, call, heartbeat
from tests.conftest import Personas
from tests.making import make_check

Browse = Callable[[Any], Browser]


@pytest.fixture
def check(personas: Personas) -> Check:
    check = heartbeat(personas.client)
    for second in range(3):
        call(check, "log", at=NOON + second * SECOND, body=f"line {second}")
    return check


def test_calls_newest_first_in_pages(personas: Personas, check: Check, browse: Browse) -> None:
    browser = browse(personas.viewer)
    first = browser.get(f"/api/v1/checks/{check.pk}/pings?limit=2").json()
    assert [row["number"] for row in first["results"]] == [3, 2]
    assert first["results"][0]["body"] == "line 2"
    second = browser.get(first["next"]).json()
    assert [row["number"] for row in second["results"]] == [1]
    assert second["next"] is None


def test_another_key_for_those_who_may_edit(
    personas: Personas, check: Check, browse: Browse
) -> None:
    url, old = f"/api/v1/checks/{check.pk}/ping-key", beat_of(check).key
    assert browse(personas.viewer).post(url).status_code == 403
    assert beat_of(check).key == old
    answer = browse(personas.editor).post(url)
    assert answer.status_code == 200
    assert answer.json() == {"ping_url": f"http://uptime.test/ping/{beat_of(check).key}"}
    assert beat_of(check).key != old


@pytest.mark.parametrize(("scopes", "status"), [(["read"], 403), (["read", "write"], 200)])
def test_a_key_needs_the_write_scope(
    personas: Personas, check: Check, scopes: list[str], status: int
) -> None:
    made = create_key(
        client=personas.client, actor=None, now=timezone.now(), name="ci", scopes=scopes
    )
    browser = Browser(headers={"Authorization": f"Bearer {made.plain}"})
    assert browser.get(f"/api/v1/checks/{check.pk}/pings").status_code == 200
    assert browser.post(f"/api/v1/checks/{check.pk}/ping-key").status_code == status


def test_a_stranger_and_other_kinds_are_not_there(
    personas: Personas, check: Check, browse: Browse
) -> None:
    web = make_check(personas.client, personas.region)
    for browser, number in (
        (browse(personas.stranger), check.pk),
        (browse(personas.owner), web.pk),
    ):
        assert browser.get(f"/api/v1/checks/{number}/pings").status_code == 404
        assert browser.post(f"/api/v1/checks/{number}/ping-key").status_code == 404
    assert browse(None).get(f"/api/v1/checks/{check.pk}/pings").status_code in {401, 403}


def test_bad_parameters_are_named(personas: Personas, check: Check, browse: Browse) -> None:
    browser = browse(personas.editor)
    for query in ("limit=0", "limit=x", "cursor=x", "ordering=key", "kind=log"):
        answer = browser.get(f"/api/v1/checks/{check.pk}/pings?{query}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (
            400,
            query.partition("=")[0],
        )
