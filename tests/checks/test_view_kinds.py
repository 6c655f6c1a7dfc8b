"""The form of each kind of check: its own fields, secrets as stars, and strangers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser

from checks.forms import FORMS, form_for
from checks.masking import auth_of
from checks.models import Check, Kind
from checks.validation import FIELDS_OF
from clients.models import Client
from tests.checks.test_views import form
from tests.conftest import Personas
from tests.making import make_check

Browse = Callable[[Any], Browser]
pytestmark = pytest.mark.django_db

PROBED = {
    "name": "",
    "interval_s": "60",
    "family": "any",
    "timeout_s": "10",
    "down_after": "3",
    "up_after": "2",
    "max_latency_ms": "",
    "max_latency_outcome": "degraded",
}
POSTS: dict[str, dict[str, Any]] = {
    "http": {},
    "tcp": {**PROBED, "url": "db.example.com:8443", "send": "PING", "expect": "PONG"},
    "tls": {**PROBED, "url": "example.com", "cert_min_days": "30", "verify_tls": "on"},
    "dns": {
        **PROBED,
        "url": "example.com",
        "record_type": "MX",
        "record_values": "10 mail.example.com\r\n\r\n20 more.example.com",
        "name_server": "9.9.9.9",
    },
    "heartbeat": {
        "name": "Backup",
        "period": "2",
        "period_unit": "86400",
        "grace": "30",
        "grace_unit": "60",
        "cron": "",
        "timezone": "UTC",
    },
}
STORED: dict[str, dict[str, Any]] = {
    "http": {"url": "http://127.0.0.1/health", "cert_min_days": 14},
    "tcp": {"url": "tcp://db.example.com:8443", "send": "PING", "expect": "PONG"},
    "tls": {"url": "tls://example.com", "cert_min_days": 30, "verify_tls": True},
    "dns": {
        "url": "dns://example.com",
        "record_type": "MX",
        "record_values": ["10 mail.example.com", "20 more.example.com"],
        "name_server": "9.9.9.9",
    },
    "heartbeat": {"url": "", "interval_s": 172_800, "grace_s": 1_800},
}


def posted(personas: Personas, kind: str, **fields: Any) -> dict[str, Any]:
    if kind == "http":
        return form(personas, **fields)
    places = {} if kind == "heartbeat" else {"regions": [str(personas.region.pk)]}
    return POSTS[kind] | places | fields


@pytest.mark.parametrize("kind", POSTS)
def test_each_kind_is_made_and_edited_by_its_own_form(
    personas: Personas, browse: Browse, kind: str
) -> None:
    editor = browse(personas.editor)
    page = editor.get(f"/checks/new/?kind={kind}").content.decode()
    assert page.count('aria-current="page"') >= 1
    assert (b"Test now" in editor.get(f"/checks/new/?kind={kind}").content) == (kind != "heartbeat")
    made = editor.post(f"/checks/new/?kind={kind}", posted(personas, kind))
    check = Check.objects.for_client(personas.client).get()
    assert made["Location"] == f"/checks/{check.pk}/"
    assert check.kind == kind
    for name, value in STORED[kind].items():
        assert getattr(check, name) == value, name

    # The form as it stands, sent back: nothing changes, secrets included.
    shown = form_for(Kind(kind), client=personas.client, check=check)
    again = {field.html_name: field.value() for field in shown if field.value() not in (None, "")}
    flags = {name: "on" for name, value in again.items() if value is True}
    saved = editor.post(
        f"/checks/{check.pk}/edit/",
        {name: value for name, value in again.items() if value is not False} | flags,
    )
    assert saved.status_code == 302
    after = Check.objects.for_client(personas.client).get()
    assert after.version == 1

    stranger = browse(personas.stranger)
    assert stranger.get(f"/checks/{check.pk}/").status_code == 404
    assert stranger.post(f"/checks/{check.pk}/edit/", posted(personas, kind)).status_code == 404


@pytest.mark.parametrize("kind", ["http", "tcp", "tls", "dns"])
def test_the_usual_timeout_fits_every_interval(
    personas: Personas, browse: Browse, kind: str
) -> None:
    Client.objects.filter(pk=personas.client.pk).update(minimum_interval_s=10)
    editor = browse(personas.editor)
    made = editor.post(f"/checks/new/?kind={kind}", posted(personas, kind, interval_s="10"))
    check = Check.objects.for_client(personas.client).get()
    assert (made.status_code, check.interval_s, check.timeout_ms) == (302, 10, 9_000)
    Check.objects.for_client(personas.client).update(interval_s=60, timeout_ms=10_000)
    path = f"/checks/{check.pk}/edit/"
    page = editor.get(path).content.decode()
    assert 'name="timeout_s" value="10"' in page
    assert '<details class="disclosure form-section" id="timing"' in " ".join(page.split())

    chosen = posted(personas, kind, interval_s="10", timeout_s="12.5")
    refused = editor.post(path, chosen)
    page = " ".join(refused.content.decode().split())
    assert refused.status_code == 422
    assert "With an interval of 10 s the timeout may be 9 s at most." in page
    assert '<details class="disclosure form-section" open id="timing"' in page


@pytest.mark.parametrize("kind", list(Kind))
def test_a_form_shows_the_fields_of_its_kind_alone(personas: Personas, kind: Kind) -> None:
    shown = form_for(kind, client=personas.client)
    rows = [name for row in shown.FIRST for name in row]
    rows += [name for section in shown.SECTIONS for row in section.rows for name in row]
    assert sorted(rows) == sorted(shown.fields), "each field once, in a row"
    own = {"timeout_s", "auth_type", "username", "password", "token", "period", "grace"}
    units = {"period_unit", "grace_unit"}
    assert set(rows) - own - units <= FIELDS_OF[kind]
    assert set(FORMS) == set(Kind)


def test_an_unknown_kind_is_the_usual_one(personas: Personas, browse: Browse) -> None:
    page = browse(personas.editor).get("/checks/new/?kind=icmp")
    assert (page.status_code, b'name="method"' in page.content) == (200, True)


def test_sections_with_something_in_them_are_open(personas: Personas, browse: Browse) -> None:
    editor = browse(personas.editor)
    editor.post("/checks/new/", form(personas, json="$.status exists"))
    check = Check.objects.for_client(personas.client).get()
    shown = form_for(Kind.HTTP, client=personas.client, check=check)
    assert {section.key for section in shown.sections if section.open} == {"rules"}
    typed = form_for(Kind.HTTP, form(personas, method="POST"), client=personas.client)
    assert {section.key for section in typed.sections if section.open} == {"request"}


def test_a_wrong_line_is_named_at_its_field(personas: Personas, browse: Browse) -> None:
    given = form(personas, json='$.status == "ok"\r\n$.count > many', header="Server like nginx")
    refused = browse(personas.editor).post("/checks/new/", given)
    page = refused.content.decode()
    assert refused.status_code == 422
    assert 'id="id_json_error"' in page
    assert "Line 2: many is no value." in page
    assert "Line 1: like is no comparison" in page
    assert "$.count &gt; many" in page, "what was typed stays"


def test_credentials_are_kept_changed_and_dropped(personas: Personas, browse: Browse) -> None:
    editor = browse(personas.editor)
    basic = {"auth_type": "basic", "username": "bob", "password": "s3cret", "token": ""}
    editor.post("/checks/new/", form(personas, **basic))
    check = Check.objects.for_client(personas.client).get()
    path = f"/checks/{check.pk}/edit/"
    page = editor.get(path).content.decode()
    assert "s3cret" not in page
    assert "bob" not in page

    def stored() -> Any:
        return auth_of(Check.objects.for_client(personas.client).get())

    stars = {**basic, "username": "********", "password": "********"}
    editor.post(path, form(personas, **stars))
    assert stored() == {"type": "basic", "username": "bob", "password": "s3cret"}
    moved = editor.post(path, form(personas, url="http://collector.example.com/", **stars))
    assert moved.status_code == 422
    assert b"Enter the credentials again" in moved.content
    empty = editor.post(path, form(personas, auth_type="bearer", token=""))
    assert empty.status_code == 422
    assert b'id="id_auth_type_error"' in empty.content
    editor.post(path, form(personas, auth_type=""))
    assert stored() is None


def test_a_heartbeats_page_has_its_address_and_no_test(personas: Personas, browse: Browse) -> None:
    editor = browse(personas.editor)
    editor.post("/checks/new/?kind=heartbeat", posted(personas, "heartbeat"))
    check = Check.objects.for_client(personas.client).get()
    page = editor.get(f"/checks/{check.pk}/").content.decode()
    assert "/ping/" in page
    assert "Test now" not in page
    assert "Response time" not in page
    tried = editor.post(f"/checks/{check.pk}/test/")
    assert tried.status_code == 422
    assert b"its job calls us" in tried.content


def test_words_for_a_target_that_is_not_of_its_kind(personas: Personas, browse: Browse) -> None:
    editor = browse(personas.editor)
    given = posted(personas, "tls", url="https://example.com/path")
    refused = editor.post("/checks/new/?kind=tls", given)
    assert refused.status_code == 422
    assert b"Write the host alone" in refused.content


def test_a_page_of_each_kind_says_what_is_watched(personas: Personas, browse: Browse) -> None:
    viewer = browse(personas.viewer)
    for kind, url, more, words in (
        ("tcp", "tcp://db.example.com:5432", {"expect": "PONG"}, ["db.example.com:5432", "PONG"]),
        ("tls", "tls://example.com", {"verify_tls": False}, ["not verified, slow below 14 days"]),
        ("dns", "dns://example.com", {"record_type": "MX"}, ["MX example.com", "any"]),
        ("http", "https://example.com/a", {"regex": ["a+"]}, ["GET", "a+", "200-299"]),
    ):
        check = make_check(personas.client, personas.region, kind=kind, url=url, name=kind, **more)
        page = viewer.get(f"/checks/{check.pk}/").content.decode()
        for said in (check.get_kind_display(), *words):
            assert said in page, said
        assert ("Redirects" in page) == (kind == "http")
    listed = viewer.get("/checks/").content.decode()
    assert "MX example.com" in listed
    assert "DNS record: " in listed
