"""A stranger walks every address of the site with another client's ids, by every method, and learns nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from alerts.models import Channel, Delivery
from checks.models import Check, Incident, Result
from clients.apikeys import create_key
from clients.models import ApiKey, AuditEvent
from tests.conftest import Personas
from tests.making import make_check
from tests.routes import Route, all_routes

PLANTED = "planted-7f3a"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WRITES = ("POST", "PUT", "PATCH", "DELETE")
FOREIGN, MISSING = 876_543_210, 987_654_321

# Whose number is it? A route with a number in a room that is not named here fails the test: name it.
ROOMS = {
    "checks": "check",
    "incidents": "incident",
    "channels": "channel",
    "alerts": "delivery",
    "deliveries": "delivery",
    "keys": "key",
}
# Rooms that hold nothing of a client; their own tests watch them. Here: a stranger reads nothing planted.
NOT_TENANTS = ("accounts", "ops", "ingest", "account", "static", "ping")
# What people see without an account.
PUBLIC = re.compile(r"^(accounts/|api/v1/(schema/|docs/|)$|ingest/|ping/|health)")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Acme's rows, each with the planted word in it."""

    ids: dict[str, int]
    second: int
    region: int


@pytest.fixture
def world(personas: Personas) -> World:
    client = personas.client
    now = timezone.now().replace(microsecond=0)
    check = make_check(
        client,
        personas.region,
        pk=FOREIGN,
        name=f"Site {PLANTED}",
        url=f"http://{PLANTED}.example.com/",
        headers=json.dumps({"X-Token": PLANTED}),
    )
    incident = Incident.objects.create(
        pk=FOREIGN,
        client=client,
        subject=check,
        started_at=now,
        opened_at=now,
        first_bad_at=now,
        reason="status",
        message=PLANTED,
    )
    channel = Channel.objects.create(
        pk=FOREIGN,
        client=client,
        kind="email",
        name=f"Mail {PLANTED}",
        target=f"{PLANTED}@acme.test",
    )
    delivery = Delivery.objects.create(
        pk=FOREIGN,
        client=client,
        channel=channel,
        subject=check,
        kind="down",
        summary=f"{PLANTED} is down",
        message={"subject": PLANTED, "text": PLANTED, "html": PLANTED},
        state="dead",
        occurred_at=now,
    )
    Result.objects.create(
        client=client,
        at=now,
        check_id=check.pk,
        region=personas.region.pk,
        outcome=3,
        reason=1,
        total_us=1,
        lag_ms=0,
        stored_ms=0,
        extra=False,
    )
    key = ApiKey.objects.create(
        pk=FOREIGN,
        client=client,
        name=f"Key {PLANTED}",
        prefix="upk_planted0",
        digest=PLANTED,
        scopes=["read"],
    )
    rows: dict[str, Any] = {"check": check, "incident": incident, "channel": channel}
    rows |= {"delivery": delivery, "key": key}
    return World(
        ids={kind: row.pk for kind, row in rows.items()},
        second=int(now.timestamp()),
        region=personas.region.pk,
    )


def sign_in(user: Any) -> Browser:
    browser = Browser(raise_request_exception=False)
    browser.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return browser


def values_for(route: Route, world: World, number: int | None) -> dict[str, Any]:
    found: dict[str, Any] = {"second": world.second, "region": world.region}
    found |= dict.fromkeys(set(route.names) - set(found), "x")
    if number is not None:
        found |= {name: number for name in route.names if name in {"pk", "number"}}
    return found


def ask(browser: Browser, method: str, url: str, world: World) -> tuple[int, bytes]:
    """Status and body, with what differs from request to request taken out."""
    if url.startswith("/api/"):
        answer = browser.generic(method, url, b"{}", content_type="application/json")
    elif method in WRITES:
        form = {"client": "acme", "check": world.ids["check"], "channel": world.ids["channel"]}
        answer = getattr(browser, method.lower())(url, form)
    else:
        answer = browser.generic(method, url)
    body = re.sub(rb'(csrfmiddlewaretoken"? value=|csrf[^"]*": ?)"[^"]*"', b"", answer.content)
    location = answer.headers.get("Location", "").encode()
    return answer.status_code, body + location


def complaints(world: World, browser: Browser, urlconf: str | None = None) -> Iterator[str]:
    """What a stranger learned, one sentence each."""
    for route in all_routes(urlconf):
        if route.room in NOT_TENANTS:
            status, body = ask(browser, "GET", route.url(values_for(route, world, None)), world)
            if PLANTED.encode() in body or status >= 500:
                yield f"GET {route.template} answers {status}"
            continue
        numbered = bool({"pk", "number"} & set(route.names))
        if (route.names and not numbered) or (numbered and route.room not in ROOMS):
            yield f"{route.template}: nobody told this test what its parameters mean"
            continue
        theirs = world.ids[ROOMS[route.room]] if numbered else None
        for method in METHODS:
            status, body = ask(browser, method, route.url(values_for(route, world, theirs)), world)
            if PLANTED.encode() in body:
                yield f"{method} {route.template} shows what belongs to another client"
            if status >= 500:
                yield f"{method} {route.template} breaks with {status}"
            if theirs is None:
                continue
            missing = ask(browser, method, route.url(values_for(route, world, MISSING)), world)
            mine = (status, body.replace(str(theirs).encode(), b"#"))
            if mine != (missing[0], missing[1].replace(str(MISSING).encode(), b"#")):
                yield f"{method} {route.template} tells a foreign id from a missing one"
            if status not in {404, 405} and method != "OPTIONS":
                yield f"{method} {route.template} answers {status} to a stranger"


def test_a_stranger_learns_and_changes_nothing(personas: Personas, world: World) -> None:
    before = AuditEvent.objects.for_client(personas.client).count()
    assert "\n".join(complaints(world, sign_in(personas.stranger))) == ""
    assert AuditEvent.objects.for_client(personas.client).count() == before
    check = Check.objects.for_client(personas.client).get()
    assert (check.paused_at, check.deleted_at, check.version) == (None, None, 1)


def test_a_strangers_key_learns_nothing(personas: Personas, world: World) -> None:
    made = create_key(
        client=personas.stranger_client,
        actor=None,
        now=timezone.now(),
        name="ci",
        scopes=["read", "write"],
    )
    browser = Browser(
        headers={"Authorization": f"Bearer {made.plain}"}, raise_request_exception=False
    )
    found = [each for each in complaints(world, browser) if " api/v1/" in each]
    assert "\n".join(found) == ""


def test_a_route_that_forgets_its_client_is_caught(
    personas: Personas, world: World, settings: Any
) -> None:
    settings.ROOT_URLCONF = "tests.leaky_urls"
    found = list(complaints(world, sign_in(personas.stranger), "tests.leaky_urls"))
    assert "GET checks/{number}/leak/ shows what belongs to another client" in found
    assert "GET leak/ shows what belongs to another client" in found


def test_a_viewer_writes_nothing(personas: Personas, world: World) -> None:
    before = AuditEvent.objects.for_client(personas.client).count()
    browser = sign_in(personas.viewer)
    allowed = []
    for route in all_routes():
        if route.room in NOT_TENANTS:
            continue
        number = world.ids[ROOMS[route.room]] if {"pk", "number"} & set(route.names) else None
        for method in WRITES:
            status, _ = ask(browser, method, route.url(values_for(route, world, number)), world)
            if status not in {403, 404, 405}:
                allowed.append(f"{method} {route.template}: {status}")
    assert "\n".join(allowed) == ""
    assert AuditEvent.objects.for_client(personas.client).count() == before


def test_without_an_account_there_is_only_the_entrance(world: World, db: None) -> None:
    browser = Browser(raise_request_exception=False)
    opened = []
    for route in all_routes():
        if PUBLIC.match(route.template):
            continue
        number = world.ids[ROOMS[route.room]] if route.room in ROOMS and route.names else None
        for method in METHODS:
            url = route.url(values_for(route, world, number))
            status, body = ask(browser, method, url, world)
            entrance = status == 302 and b"/accounts/login/" in body
            if not (entrance or status in {401, 403, 405}):
                opened.append(f"{method} {route.template}: {status}")
    assert "\n".join(opened) == ""
