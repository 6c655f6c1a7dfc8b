"""The demo: a client whose checks show the product in two minutes, and the article's load of 1,000 clients.

Both can be made again and again: what is there stays.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from alerts.models import Channel
from alerts.services import create_channel
from checks.models import Check, Region
from checks.regions import ensure_local_region
from checks.services import create_check
from clients.models import Client, User
from clients.people import confirm_address, new_password
from clients.services import create_client

OWNER, OPERATOR = "demo@example.com", "ops@example.com"
NAME = "Demo"
SLUG = "demo"
LOGINS = "demo.json"
TARGET = "target.json"
LOAD_SLUG = "load-"
BATCH = 2_000
CHECK_LIMIT = 25
"""Room for the visitor's own checks beside the demo's."""
HEALTH: dict[str, Any] = {
    "json": [
        {"path": "$.status", "op": "==", "value": "ok"},
        {"path": "$.database.lag_s", "op": "<", "value": 5},
    ],
    "header": [{"name": "Content-Type", "op": "matches", "value": "^application/json"}],
    "regex": [r'"version": "\d+\.\d+"'],
}
"""Assertions on the target's health page, one of which does not hold."""
NIGHTLY: dict[str, Any] = {"cron": "30 2 * * *", "timezone": "Europe/Berlin", "grace_s": 1_800}


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the demo's target answers."""

    http: str = "http://127.0.0.1:8081"
    https: str = "https://localhost:8443"
    refused: str = "http://127.0.0.1:8090"
    webhook: str = "http://127.0.0.1:8081/webhook"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """What the demo consists of, and what this call added."""

    client: Client
    logins: tuple[tuple[str, str, str], ...]
    """(role, e-mail, password)"""
    new_checks: int
    new_channels: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    clients: int
    checks: int


def places_in(state_dir: Path, **given: str | None) -> Places:
    """The addresses given, else those the target wrote down when it started, else its usual ones."""
    try:
        noted = json.loads((state_dir / TARGET).read_text())
    except (OSError, ValueError):
        noted = {}
    found = {name: noted[name] for name in Places.__slots__ if isinstance(noted.get(name), str)}
    return Places(**found | {name: value for name, value in given.items() if value})


def make_demo(
    *, places: Places, state_dir: Path, now: datetime, password: str | None = None
) -> DemoReport:
    """The demo client with eleven checks and two channels, its owner and an operator."""
    known = _known_password(state_dir)
    password = password or known or new_password()
    with transaction.atomic():
        if not Region.objects.filter(active=True).exists():
            ensure_local_region()
        owner = _person(OWNER, "Dana Demo", password)
        operator = _person(OPERATOR, "Olli Operator", password, is_staff=True)
        client = Client.objects.filter(slug=SLUG).first() or create_client(
            name=NAME, owner=owner, actor=None, minimum_interval_s=10
        )
        Client.objects.filter(pk=client.pk, check_limit__lt=CHECK_LIMIT).update(
            check_limit=CHECK_LIMIT
        )
        new_checks = _make_checks(client, owner, places, now)
        new_channels = _make_channels(client, owner, places, now)
    logins = (("client", owner.email, password), ("operator", operator.email, password))
    _write_logins(state_dir, logins)
    return DemoReport(
        client=client, logins=logins, new_checks=new_checks, new_channels=new_channels
    )


def demo_checks(places: Places) -> list[dict[str, Any]]:
    """Eleven checks, each for one thing there is to see; quick to judge, so that it is seen soon."""
    quick = {"interval_s": 20, "timeout_ms": 5_000, "down_after": 2, "up_after": 2}
    probed: list[dict[str, Any]] = [
        {"name": name, "url": url, **quick, **more}
        for name, url, more in (
            ("Fast page", f"{places.http}/fast", {}),
            ("Slow page", f"{places.http}/slow", {"max_latency_ms": 800}),
            ("Flapping service", f"{places.http}/flapping", {}),
            ("Broken API", f"{places.http}/500", {}),
            ("Shop without its offer", f"{places.http}/keyword", {"keyword": ["In stock"]}),
            ("Moved page", f"{places.http}/redirect", {"expected_status": ["200"]}),
            ("API with a slow database", f"{places.http}/health", HEALTH),
            ("Open port", _place(places.http), {"kind": "tcp"}),
            ("Closed port", _place(places.refused), {"kind": "tcp"}),
            ("Expired certificate", _place(places.https), {"kind": "tls"}),
        )
    ]
    return [*probed, {"kind": "heartbeat", "name": "Nightly backup", **NIGHTLY}]


def _place(url: str) -> str:
    """Host and port of an address."""
    return urlsplit(url).netloc


def make_load(
    *,
    clients: int,
    checks: int,
    url: str,
    advance: Callable[[int], None] | None = None,
) -> LoadReport:
    """So many clients with so many checks each, all of `url`; in bulk, for tests of size. Tops up what is there."""
    regions = list(
        Region.objects.filter(active=True).order_by("pk").values_list("pk", flat=True)
    ) or [ensure_local_region().pk]
    wanted = [f"{LOAD_SLUG}{number:05d}" for number in range(1, clients + 1)]
    with transaction.atomic():
        there = set(
            Client.objects.filter(slug__startswith=LOAD_SLUG).values_list("slug", flat=True)
        )
        made = Client.objects.bulk_create(
            [
                Client(
                    name=f"Load {slug.removeprefix(LOAD_SLUG)}",
                    slug=slug,
                    check_limit=max(10, checks),
                )
                for slug in wanted
                if slug not in there
            ],
            batch_size=BATCH,
        )
        rows: list[Check] = []
        stored = 0
        for client in made:
            rows += [_load_check(client, number, url, regions) for number in range(1, checks + 1)]
            if len(rows) >= BATCH or client is made[-1]:
                Check.objects.bulk_create(rows)
                stored += len(rows)
                if advance:
                    advance(len(rows))
                rows = []
    return LoadReport(clients=len(made), checks=stored)


def _load_check(client: Client, number: int, url: str, regions: list[int]) -> Check:
    return Check(client=client, name=f"Check {number:02d}", url=url, regions=regions)


def _make_checks(client: Client, owner: User, places: Places, now: datetime) -> int:
    rows = Check.objects.for_client(client).filter(deleted_at=None)
    there = set(rows.values_list("name", flat=True))
    new = [fields for fields in demo_checks(places) if fields["name"] not in there]
    for fields in new:
        create_check(client=client, actor=owner, now=now, **fields)
    return len(new)


def _make_channels(client: Client, owner: User, places: Places, now: datetime) -> int:
    rows = Channel.objects.for_client(client).filter(deleted_at=None)
    there = set(rows.values_list("kind", flat=True))
    wanted = {"email": ("Mail to the owner", OWNER), "webhook": ("Webhook", places.webhook)}
    for kind, (name, target) in wanted.items():
        if kind not in there:
            create_channel(client=client, actor=owner, kind=kind, name=name, target=target, now=now)
    return len(set(wanted) - there)


def _person(email: str, name: str, password: str, **fields: Any) -> User:
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, password, name=name, **fields)
    elif not user.check_password(password):
        user.set_password(password)
        user.save(update_fields=["password"])
    confirm_address(user)
    return user


def _known_password(state_dir: Path) -> str | None:
    """The password of an earlier call, as long as its file is there."""
    try:
        password = json.loads((state_dir / LOGINS).read_text())["logins"][0]["password"]
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        return None
    return password if isinstance(password, str) else None


def _write_logins(state_dir: Path, logins: tuple[tuple[str, str, str], ...]) -> None:
    """For `make up`, which prints them at every start; readable by its owner alone."""
    rows = [{"role": role, "email": email, "password": word} for role, email, word in logins]
    state_dir.mkdir(parents=True, exist_ok=True)
    draft = state_dir / f"{LOGINS}.{os.getpid()}"
    draft.touch(mode=0o600)
    draft.write_text(json.dumps({"logins": rows}, indent=2) + "\n")
    draft.rename(state_dir / LOGINS)
