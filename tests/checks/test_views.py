"""Pages that change checks: forms, roles, methods and strangers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client as Browser
from django.utils import timezone

from checks.masking import headers_of
from checks.models import Check, Result
from clients.models import Client
from tests.conftest import Personas
from tests.making import make_check
from tests.targets import answer, replies, serve

Browse = Callable[[Any], Browser]
pytestmark = pytest.mark.django_db
URL = "http://127.0.0.1/health"


def form(personas: Personas, **fields: Any) -> dict[str, Any]:
    return {
        "url": URL,
        "name": "",
        "interval_s": "60",
        "method": "GET",
        "family": "any",
        "follow_redirects": "on",
        "verify_tls": "on",
        "timeout_s": "10",
        "down_after": "3",
        "up_after": "2",
        "cert_min_days": "14",
        "max_redirects": "5",
        "max_latency_outcome": "degraded",
        "regions": [str(personas.region.pk)],
    } | fields


def test_one_field_is_enough_and_leads_to_the_new_check(personas: Personas, browse: Browse) -> None:
    editor = browse(personas.editor)
    assert b'name="url"' in editor.get("/checks/new/").content
    made = editor.post("/checks/new/", form(personas))
    check = Check.objects.for_client(personas.client).get()
    assert made["Location"] == f"/checks/{check.pk}/"
    assert (check.url, check.name, check.timeout_ms) == (URL, "127.0.0.1", 10_000)
    assert "is watched from now on" in editor.get(made["Location"]).content.decode()


def test_an_address_needs_no_scheme(personas: Personas, browse: Browse) -> None:
    browse(personas.editor).post("/checks/new/", form(personas, url="example.com/health"))
    check = Check.objects.for_client(personas.client).get()
    assert (check.url, check.name) == ("https://example.com/health", "example.com")


def test_the_address_can_be_given_in_the_link(personas: Personas, browse: Browse) -> None:
    page = browse(personas.editor).get("/checks/new/?url=https://a.test/%22%3E").content.decode()
    assert 'value="https://a.test/&quot;&gt;"' in page


def test_every_field_arrives(personas: Personas, browse: Browse) -> None:
    given = form(
        personas,
        name="Shop",
        method="POST",
        headers="X-Token: s3cret\r\nAccept: text/html",
        body="a\r\nb",
        expected_status="200-299, 404",
        keyword="Basket\r\n\r\nLogin",
        keyword_absent="Error",
        max_latency_ms="800",
        cert_min_days="",
        timeout_s="2.5",
        interval_s="300",
    )
    del given["follow_redirects"]
    assert browse(personas.editor).post("/checks/new/", given).status_code == 302
    check = Check.objects.for_client(personas.client).get()
    assert check.expected_status == ["200-299", "404"]
    assert check.keyword == ["Basket", "Login"]
    assert check.body == "a\nb"
    assert (check.timeout_ms, check.interval_s, check.max_latency_ms) == (2_500, 300, 800)
    assert check.cert_min_days is None
    assert check.follow_redirects is False
    edit = browse(personas.editor).get(f"/checks/{check.pk}/edit/").content.decode()
    assert "s3cret" not in edit
    assert "X-Token: ********" in edit


def test_errors_are_at_their_field_with_the_values_kept(personas: Personas, browse: Browse) -> None:
    given = form(personas, url="ftp://a.test/", name="Kept", timeout_s="99", headers="nonsense")
    refused = browse(personas.editor).post("/checks/new/", given)
    page = refused.content.decode()
    assert refused.status_code == 422
    assert 'value="Kept"' in page
    assert 'href="#id_timeout_s"' in page
    assert 'id="id_headers_error"' in page
    assert 'aria-describedby="id_headers_helptext id_headers_error"' in page
    assert not Check.objects.for_client(personas.client).exists()
    private = browse(personas.editor).post("/checks/new/", form(personas, url="http://10.0.0.1/"))
    assert private.status_code == 422
    assert b'id="id_url_error"' in private.content


def test_the_check_beyond_the_plan_is_refused_in_words(personas: Personas, browse: Browse) -> None:
    Client.objects.filter(pk=personas.client.pk).update(check_limit=1)
    make_check(personas.client, personas.region)
    refused = browse(personas.editor).post("/checks/new/", form(personas))
    assert refused.status_code == 422
    assert b"Your plan allows 1 check" in refused.content


def test_edit_keeps_secrets_that_were_not_typed_again(personas: Personas, browse: Browse) -> None:
    editor = browse(personas.editor)
    editor.post("/checks/new/", form(personas, headers="X-Token: s3cret"))
    check = Check.objects.for_client(personas.client).get()
    path = f"/checks/{check.pk}/edit/"
    saved = editor.post(path, form(personas, name="Renamed", headers="X-Token: ********"))
    assert saved["Location"] == f"/checks/{check.pk}/"
    check.refresh_from_db(from_queryset=Check.objects.for_client(personas.client))
    assert check.name == "Renamed"
    assert "s3cret" in check.headers


def test_secrets_do_not_follow_the_address_to_another_host(
    personas: Personas, browse: Browse
) -> None:
    editor = browse(personas.editor)
    editor.post("/checks/new/", form(personas, headers="X-Token: s3cret"))
    check = Check.objects.for_client(personas.client).get()
    path, moved = f"/checks/{check.pk}/edit/", "http://collector.example.com/"
    for do in ("save", "test"):
        kept = form(personas, url=moved, headers="X-Token: ********", do=do)
        refused = editor.post(path, kept)
        assert refused.status_code == 422
        assert b"Enter the headers again" in refused.content
    saved = editor.post(path, form(personas, url=moved, headers="X-Token: fresh"))
    assert saved.status_code == 302
    check.refresh_from_db(from_queryset=Check.objects.for_client(personas.client))
    assert (check.url, headers_of(check)) == (moved, {"X-Token": "fresh"})


def test_pause_resume_and_delete(personas: Personas, browse: Browse) -> None:
    check = make_check(personas.client, personas.region, state="up")
    editor = browse(personas.editor)
    page = f"/checks/{check.pk}/"

    def state() -> str:
        return str(Check.objects.for_client(personas.client).get().state)

    assert editor.post(f"{page}pause/")["Location"] == page
    assert state() == "paused"
    assert b"Resume" in editor.get(page).content
    editor.post(f"{page}resume/")
    assert state() == "new"
    assert b"Keep it" in editor.get(f"{page}delete/").content
    assert editor.post(f"{page}delete/")["Location"] == "/checks/"
    assert editor.get(page).status_code == 404


@pytest.mark.parametrize("act", ["pause", "resume", "delete", "edit"])
def test_a_check_that_goes_while_its_page_is_sent_is_not_found(
    personas: Personas, browse: Browse, act: str
) -> None:
    paused = timezone.now() if act == "resume" else None
    check = make_check(personas.client, personas.region, paused_at=paused)
    gone: list[bool] = []

    def delete_first(execute: Any, sql: str, *rest: Any) -> Any:
        """Somebody else is quicker by a moment: after the look-up, before the lock."""
        if "FOR UPDATE" in sql.upper() and not gone:
            gone.append(True)
            rows = Check.objects.for_client(personas.client).filter(pk=check.pk)
            rows.update(deleted_at=timezone.now())
        return execute(sql, *rest)

    with connection.execute_wrapper(delete_first):
        answer = browse(personas.editor).post(f"/checks/{check.pk}/{act}/", form(personas))
    assert gone
    assert answer.status_code == 404


def test_test_now_shows_what_came_back_and_leaves_no_trace(
    personas: Personas, browse: Browse
) -> None:
    editor = browse(personas.editor)
    with serve(replies(answer("503 Service Unavailable", b"<i>sorry</i>"))) as target:
        check = make_check(personas.client, personas.region, url=target.url())
        page = editor.post(f"/checks/{check.pk}/test/")
        assert b"<html" in page.content
        assert b"HTTP 503" in page.content
        assert b"&lt;i&gt;sorry" in page.content
        part = editor.post(f"/checks/{check.pk}/test/", headers={"HX-Request": "true"})
        assert b"<html" not in part.content
        draft = editor.post("/checks/new/", form(personas, url=target.url(), do="test"))
        assert draft.status_code == 200
        assert b"Not met" in draft.content
        assert b'name="url"' in draft.content
    assert Check.objects.for_client(personas.client).count() == 1
    assert not Result.objects.for_client(personas.client).exists()


def test_the_eleventh_test_of_a_minute_is_refused(
    personas: Personas, browse: Browse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("checks.manual.LIMIT", 1)
    with serve(replies(answer())) as target:
        check = make_check(personas.client, personas.region, url=target.url())
        path = f"/checks/{check.pk}/test/"
        codes = [browse(personas.editor).post(path).status_code for _ in range(3)]
    assert codes.count(429) >= 1


WRITES = ("edit", "pause", "resume", "delete", "test")


def test_wrong_methods_viewers_and_strangers(personas: Personas, browse: Browse) -> None:
    check = make_check(personas.client, personas.region)
    for verb in WRITES:
        path = f"/checks/{check.pk}/{verb}/"
        assert browse(personas.viewer).post(path).status_code == 403
        assert browse(personas.stranger).post(path).status_code == 404
        assert browse(None).post(path)["Location"].startswith("/accounts/login/")
        assert browse(personas.editor).put(path).status_code == 405
    for verb in ("pause", "resume", "test"):
        assert browse(personas.editor).get(f"/checks/{check.pk}/{verb}/").status_code == 405
    assert browse(personas.viewer).get("/checks/new/").status_code == 403
    assert Check.objects.for_client(personas.client).get().state == "new"


def test_a_form_without_its_token_is_refused(personas: Personas) -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(
        personas.editor, backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    check = make_check(personas.client, personas.region)
    refused = browser.post(f"/checks/{check.pk}/pause/")
    assert refused.status_code == 403
    assert b"no longer valid" in refused.content
