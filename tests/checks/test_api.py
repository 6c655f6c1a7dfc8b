"""The REST API of checks, through HTTP: keys and sessions, lists, errors by field, and whatever people send."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client as Browser
from django.utils import timezone

from checks.models import Check, Evidence, Incident, Result
from checks.validation import FIELDS
from clients.apikeys import create_key
from clients.models import Client
from fanout_lambdas.shared.slots import next_grid, phase
from tests.conftest import Personas
from tests.making import make_check

URL = "/api/v1/checks/"


class Api:
    """A caller with a key."""

    def __init__(self, client: Client, scopes: list[str]) -> None:
        made = create_key(client=client, actor=None, now=timezone.now(), name="ci", scopes=scopes)
        self.browser = Browser(headers={"Authorization": f"Bearer {made.plain}"})

    def __call__(self, method: str, path: str, body: Any = None, **options: Any) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        content_type = options.pop("content_type", "application/json")
        return self.browser.generic(
            method, path, b"" if body is None else data, content_type=content_type, **options
        )


@pytest.fixture
def api(personas: Personas) -> Api:
    return Api(personas.client, ["read", "write"])


def problem(response: Any, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


def faults(response: Any) -> list[tuple[str, str]]:
    return [(each["field"], each["rule"]) for each in problem(response, 400)["errors"]]


def test_a_check_from_birth_to_its_end(api: Api) -> None:
    made = api("POST", URL, {"url": "https://example.com/", "headers": {"X-Token": "s3cret"}})
    assert made.status_code == 201, made.content
    body = made.json()
    assert (body["name"], body["state"], body["regions"]) == ("example.com", "new", ["local"])
    assert body["headers"] == {"X-Token": "********"}
    assert body["created_at"].endswith("Z")
    one = f"{URL}{body['id']}/"

    changed = api("PATCH", one, {"name": "Shop", "headers": {"X-Token": "********", "X-B": "1"}})
    assert changed.json()["name"] == "Shop"
    check = Check.objects.across_clients().get()
    assert json.loads(check.headers) == {"X-Token": "s3cret", "X-B": "1"}

    assert api("POST", f"{one}pause/").json()["state"] == "paused"
    assert api("POST", f"{one}resume").json()["state"] == "new"  # the final slash may be left out
    assert api("GET", one).json()["version"] == 2
    assert api("DELETE", one).status_code == 204
    problem(api("GET", one), 404)
    assert api("GET", URL).json() == {"next": None, "results": []}


def test_secrets_stay_with_their_origin(api: Api) -> None:
    secret = {"headers": {"X-Token": "s3cret"}, "method": "POST", "body": "pin=1"}
    made = api("POST", URL, {"url": "https://example.com/", **secret}).json()
    one, away = f"{URL}{made['id']}/", {"url": "https://collector.example.net/"}
    both = [("headers", "origin_changed"), ("body", "origin_changed")]
    shown = {"headers": made["headers"], "body": made["body"]}
    assert faults(api("PATCH", one, away)) == both
    assert faults(api("PATCH", one, {**away, **shown})) == both
    assert faults(api("POST", f"{one}test/", {**away, **shown})) == both
    assert faults(api("PATCH", one, {**away, "body": ""})) == both[:1]
    moved = api("PATCH", one, {**away, "headers": {"X-Other": "1"}, "body": "pin=2"})
    assert (moved.status_code, moved.json()["url"]) == (200, away["url"])
    same = api("PATCH", one, {"url": "https://collector.example.net:443/other"})
    assert same.status_code == 200
    assert same.json()["headers"] == {"X-Other": "********"}


def test_who_may_what(personas: Personas, api: Api, browse: Callable[[Any], Browser]) -> None:
    check = make_check(personas.client, personas.region)
    one = f"{URL}{check.pk}/"
    reader = Api(personas.client, ["read"])
    assert reader("GET", one).status_code == 200
    problem(reader("PATCH", one, {"name": "x"}), 403)
    for user, status in ((personas.viewer, 403), (personas.editor, 200), (personas.owner, 200)):
        browser = browse(user)
        assert browser.get(one).status_code == 200
        answer = browser.patch(one, {"name": "y"}, content_type="application/json")
        assert answer.status_code == status
    anonymous = Browser().get(one)
    assert problem(anonymous, 401)
    assert anonymous["WWW-Authenticate"].startswith("Bearer")
    problem(Browser(headers={"Authorization": "Bearer upk_wrong"}).get(one), 401)
    stranger = Api(personas.stranger_client, ["read", "write"])
    assert stranger("GET", one).content == stranger("GET", f"{URL}999999/").content


def test_a_session_needs_its_csrf_token(personas: Personas) -> None:
    browser = Browser(enforce_csrf_checks=True)
    browser.force_login(
        personas.owner, backend="allauth.account.auth_backends.AuthenticationBackend"
    )
    problem(browser.post(URL, {"url": "https://example.com"}, content_type="application/json"), 403)


def test_lists_are_paged_filtered_and_ordered(personas: Personas, api: Api) -> None:
    for number in range(7):
        make_check(personas.client, personas.region, name=f"site {number % 3}")
    make_check(personas.stranger_client, personas.region, name="site 9")
    seen: list[dict[str, Any]] = []
    path = f"{URL}?limit=3&ordering=-name"
    while path:
        body = api("GET", path).json()
        seen += body["results"]
        path = body["next"]
    expected = sorted(((row["name"], row["id"]) for row in seen), reverse=True)
    assert [(row["name"], row["id"]) for row in seen] == expected
    assert len({row["id"] for row in seen}) == 7
    assert len(api("GET", f"{URL}?name=E 1").json()["results"]) == 2
    assert api("GET", f"{URL}?state=down").json()["results"] == []
    assert faults(api("GET", f"{URL}?state=broken")) == [("state", "choice")]
    assert faults(api("GET", f"{URL}?sate=down")) == [("sate", "unknown")]
    assert faults(api("GET", f"{URL}?ordering=headers")) == [("ordering", "choice")]
    assert faults(api("GET", f"{URL}?limit=0")) == [("limit", "range")]


@pytest.mark.parametrize(
    "cursor",
    ["x", "", "W10", "////", "WzFd", "A" * 5000, "WyJuYW1lIiwgIlx1MDAwMCIsIDFd", "%00", "ÿ"],
)
def test_bad_cursors_are_refused(api: Api, cursor: str) -> None:
    assert faults(api("GET", f"{URL}?cursor={cursor}")) == [("cursor", "cursor")]


@pytest.mark.parametrize(
    ("body", "field", "rule"),
    [
        ({"url": "http://10.0.0.1/"}, "url", "private"),
        ({}, "url", "required"),
        ({"url": "https://example.com/", "interval_s": "60"}, "interval_s", "choice"),
        ({"url": "https://example.com/", "regions": ["mars"]}, "regions", "choice"),
        ({"url": "https://example.com/", "regions": [1]}, "regions", "type"),
        ({"url": "https://example.com/", "regions": "local"}, "regions", "type"),
        ({"url": "https://example.com/", "colour": "red"}, "colour", "unknown"),
        ({"url": "https://example.com/", "client": 2}, "client", "unknown"),
        ({"url": "https://example.com/", "id": 2}, "id", "read_only"),
        ({"url": "https://example.com/", "state": "up"}, "state", "read_only"),
        ({"url": "https://example.com/", "name": {"a": 1}}, "name", "type"),
        ({"url": ["https://example.com/"]}, "url", "type"),
        ({"url": "https://example.com/", "client_id": 1, "actor": 1}, "client_id", "unknown"),
        ({"url": "https://example.com/", "keyword": ["a\0"]}, "keyword.0", "nul"),
        ({"url": "https://example.com/", "name": "\ud800"}, "name", "unicode"),
        ({"url": "https://example.com/", "timeout_ms": 2**63}, "timeout_ms", "range"),
        ({"url": "https://example.com/", "timeout_ms": 2**31}, "timeout_ms", "range"),
        ({"url": "https://example.com/", "timeout_ms": True}, "timeout_ms", "type"),
        ({"url": "https://example.com/", "timeout_ms": 1e3}, "timeout_ms", "type"),
        ({"kind": "tcp", "url": "example.com"}, "url", "port"),
        ({"kind": "tcp", "url": "example.com:8443", "method": "PUT"}, "method", "kind"),
        ({"url": "https://example.com/", "send": "x"}, "send", "kind"),
        ({"kind": "heartbeat", "name": "x", "url": "https://example.com"}, "url", "kind"),
        ({"kind": ["tcp"], "url": "example.com:8443"}, "kind", "choice"),
        ({"url": "https://example.com/", "regex": ["("]}, "regex", "regex"),
        ([1], "", "type"),
        ("text", "", "type"),
        (None, "", "json"),
        (b"{", "", "json"),
        (b'{"url": NaN}', "", "json"),
        (b'{"timeout_ms": 1e400}', "timeout_ms", "range"),
        (b'{"timeout_ms": ' + b"9" * 5000 + b"}", "", "json"),
        (b'{"url": "a", "url": "b"}', "", "duplicate"),
        (b"[" * 100_000, "", "depth"),
        (b'\xff\xfe{\x00"', "", "encoding"),
        (b"\xef\xbb\xbf{}", "", "json"),
    ],
)
def test_bad_input_names_field_and_rule(api: Api, body: Any, field: str, rule: str) -> None:
    if body is None:
        body = b" "
    assert faults(api("POST", URL, body))[0] == (field, rule)


def test_requests_of_the_wrong_shape(personas: Personas, api: Api) -> None:
    problem(api("POST", URL, b'{"body": "' + b"x" * (1 << 20) + b'"}'), 413)
    problem(api("POST", URL, b"a=1", content_type="application/x-www-form-urlencoded"), 415)
    refused = api("PUT", f"{URL}1/", {})
    problem(refused, 405)
    assert "PATCH" in refused["Allow"]
    problem(api("GET", "/api/v1/nothing/"), 404)
    problem(api("GET", f"{URL}{'9' * 18}/"), 404)
    problem(api("GET", f"{URL}{'9' * 5000}/"), 404)
    problem(api("GET", f"{URL}1%00/"), 404)
    assert faults(api("GET", f"{URL}?name=%00")) == [("name", "nul")]
    assert api("GET", f"{URL}?name={'%25' * 5000}").status_code == 200


def test_the_plan_ends_with_a_sentence(personas: Personas, api: Api) -> None:
    Client.objects.filter(pk=personas.client.pk).update(check_limit=0)
    refused = api("POST", URL, {"url": "https://example.com/"})
    assert faults(refused) == [("", "limit")]
    assert "plan" in refused.json()["detail"]


def test_results_are_found_on_their_grid_and_paged(personas: Personas, api: Api) -> None:
    now = int(timezone.now().timestamp())
    check = make_check(personas.client, personas.region)
    Check.objects.for_client(personas.client).update(
        created_at=timezone.now() - timedelta(hours=20)
    )
    at = next_grid(phase(check.pk, 60), now - 7 * 3600)
    slots = [at, at + 10, at + 60, at + 3 * 3600]
    for slot in slots:
        for owner, check_id in (
            (personas.client, check.pk),
            (personas.stranger_client, check.pk + 999),
        ):
            Result.objects.create(
                client=owner,
                at=datetime.fromtimestamp(slot, UTC),
                check_id=check_id,
                total_us=1000,
                lag_ms=0,
                stored_ms=50,
                region=personas.region.pk,
                outcome=3 if slot == at + 10 else 1,
                reason=1 if slot == at + 10 else 0,
                http_status=500 if slot == at + 10 else 200,
                extra=slot == at + 10,
            )
    Evidence.objects.create(
        client=personas.client,
        at=datetime.fromtimestamp(at + 10, UTC),
        check_id=check.pk,
        region=personas.region.pk,
        message="500 instead of 200-299",
        document={},
    )
    first = api("GET", f"{URL}{check.pk}/results/?limit=2").json()
    second = api("GET", first["next"]).json()
    rows = first["results"] + second["results"]
    assert [datetime.fromisoformat(row["at"]).timestamp() for row in rows] == slots[::-1]
    assert second["next"] is None
    bad = api("GET", f"{URL}{check.pk}/results/?outcome=down").json()["results"]
    assert [(row["message"], row["recheck"], row["reason"]) for row in bad] == [
        ("500 instead of 200-299", True, "status")
    ]
    assert faults(api("GET", f"{URL}{check.pk}/results/?outcome=x")) == [("outcome", "choice")]
    assert faults(api("GET", f"{URL}{check.pk}/results/?cursor=WzFd")) == [("cursor", "cursor")]

    figures = api("GET", f"{URL}{check.pk}/uptime/").json()
    assert [each["period"] for each in figures] == ["24h", "7d", "30d"]

    api("PATCH", f"{URL}{check.pk}/", {"interval_s": 300})  # moves the grid; nothing is lost
    assert len(api("GET", f"{URL}{check.pk}/results/").json()["results"]) == 4


def test_incidents_of_a_check_and_of_the_client(personas: Personas, api: Api) -> None:
    check = make_check(personas.client, personas.region)
    start = timezone.now()
    Incident.objects.create(
        client=personas.client,
        subject=check,
        started_at=start,
        opened_at=start,
        first_bad_at=start,
        reason="status",
        message="500",
        document={"confirmed_by": [[1, "local", "500"]]},
    )
    row = api("GET", f"{URL}{check.pk}/incidents/").json()["results"][0]
    assert (row["check_id"], row["reason"], row["resolved_at"]) == (check.pk, "status", None)
    assert row["confirmed_by"] == [{"slot": 1, "region": "local", "message": "500"}]
    assert api("GET", f"/api/v1/incidents/{row['id']}/").json() == row
    assert len(api("GET", "/api/v1/incidents/?open=true").json()["results"]) == 1
    assert api("GET", "/api/v1/incidents/?open=false").json()["results"] == []
    huge = api("GET", f"/api/v1/incidents/?check_id={10**30}")
    assert faults(huge) == [("check_id", "range")]


def test_a_list_costs_the_same_for_one_check_and_for_fifty(
    personas: Personas, api: Api, django_assert_max_num_queries: Any
) -> None:
    for number in range(50):
        make_check(personas.client, personas.region, name=f"n{number}")
    with django_assert_max_num_queries(4):
        assert len(api("GET", URL).json()["results"]) == 50


def test_the_schema_says_what_there_is(personas: Personas) -> None:
    schema = Browser().get("/api/v1/schema/?format=json").json()
    assert set(schema["paths"]["/api/v1/checks/{id}/"]) == {"get", "patch", "delete"}
    properties = schema["components"]["schemas"]["Check"]["properties"]
    assert properties["url"]["maxLength"] == 2048
    assert set(FIELDS) <= set(properties)
    body = schema["paths"]["/api/v1/checks/"]["post"]["requestBody"]["content"]
    examples = body["application/json"]["examples"].values()
    kinds = {each["value"].get("kind", "http") for each in examples}
    assert kinds == {"http", "tcp", "tls", "dns", "heartbeat"}
    page = Browser().get("/api/v1/docs/")
    assert page.status_code == 200
    assert b"<script>" not in page.content  # our policy runs no inline script
    assert "script" not in page["Content-Security-Policy"]  # and is not relaxed for this page


def test_the_schema_is_valid_and_complete(tmp_path: Path) -> None:
    call_command("spectacular", validate=True, fail_on_warn=True, file=str(tmp_path / "api.yaml"))


NASTY: tuple[Any, ...] = (
    *(None, True, -1, 1.5, 2**31, 2**63 - 1, "", "\r\nX: y", "\u202ertl", "%" * 5000),
    *([], {}, [None], {"a": None}, ["\n"], {"X\r\n": "y"}, "9999-12-31T23:59:60Z"),
)


def test_nothing_on_any_field_breaks_it(personas: Personas, api: Api) -> None:
    """Every writable field takes every nasty value: an answer below 500, each time."""
    check = make_check(personas.client, personas.region)
    broken = []
    for name in (*FIELDS, "id", "client_id", "\u202e", "a" * 500):
        for value in NASTY:
            answer = api("PATCH", f"{URL}{check.pk}/", {name: value})
            if answer.status_code not in {200, 400}:
                broken.append((name, value, answer.status_code))
    assert broken == []
