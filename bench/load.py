"""Fills an installation with clients and checks of the targets; runs inside it: `python -m bench.load --help`."""

from __future__ import annotations

import argparse
import base64
import json
import os
import secrets
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import django

from bench.targets.behaviour import FOR_EVER, KEYWORD, Kind, Target, target_of


def url_of(target: Target, addresses: dict[str, str]) -> str:
    """Where a target is found."""
    return addresses["https" if target.tls else "http"] + target.path


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What to make."""

    clients: int
    checks: int
    """Of each client."""
    intervals_s: tuple[int, ...]
    """Dealt out in turn."""
    switches: int
    """So many of the first checks have targets that can be switched off and on."""
    webhook: str
    """Where each client is told of outages; empty: nowhere."""


def load(order: Order, addresses: dict[str, str]) -> dict[str, Any]:
    """Make clients and checks, point each check at a target of its own; returns who misbehaves."""
    from django.db import transaction

    with transaction.atomic():  # a snapshot sees all of it or nothing
        return _load(order, addresses)


def _load(order: Order, addresses: dict[str, str]) -> dict[str, Any]:
    from django.db import connection

    from checks.models import Check
    from provisioning.demo import make_load

    make_load(clients=order.clients, checks=order.checks, url=f"{addresses['http']}/ok/100/0")
    if order.webhook:
        _make_webhooks(order.webhook)
    ids = list(Check.objects.across_clients().order_by("id").values_list("id", flat=True))
    targets = [_target(number, order) for number in range(len(ids))]
    intervals = [order.intervals_s[number % len(order.intervals_s)] for number in range(len(ids))]
    with connection.cursor() as cursor:
        cursor.execute(
            "update checks_check set url = given.url, keyword = array[%s], "
            "  interval_s = given.interval_s, "
            "  timeout_ms = least(timeout_ms, (given.interval_s - 1) * 1000) "
            "from unnest(%s::bigint[], %s::text[], %s::int[]) as given(id, url, interval_s) "
            "where checks_check.id = given.id",
            [KEYWORD, ids, [url_of(target, addresses) for target in targets], intervals],
        )
    kinds: dict[str, list[int]] = {}
    for check_id, target in zip(ids, targets, strict=True):
        if target.kind is not Kind.OK:
            kinds.setdefault(target.kind, []).append(check_id)
    return {
        "checks": len(ids),
        "misbehaving": kinds,
        "down_for_ever": [check for kind in FOR_EVER for check in kinds.get(kind, [])],
    }


def _target(number: int, order: Order) -> Target:
    target = target_of(number)
    return replace(target, kind=Kind.SWITCH) if number < order.switches else target


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill an installation with clients and checks.")
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--checks", type=int, required=True, help="of each client")
    parser.add_argument("--interval", type=int, nargs="+", default=[60], help="seconds, in turn")
    parser.add_argument("--switches", type=int, default=0, help="targets that can be switched")
    parser.add_argument("--webhook", default="", help="where each client is told of outages")
    parser.add_argument("--targets", type=Path, required=True, help="targets.json")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "uptime.settings")
    django.setup()
    order = Order(
        clients=options.clients,
        checks=options.checks,
        intervals_s=tuple(options.interval),
        switches=options.switches,
        webhook=options.webhook,
    )
    print(json.dumps(load(order, json.loads(options.targets.read_text()))))


def _make_webhooks(url: str) -> None:
    from alerts.models import Channel, ChannelKind
    from clients.models import Client

    for client in Client.objects.all():
        secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        Channel.objects.create(
            client=client, kind=ChannelKind.WEBHOOK, name="Receiver", target=url, secret=secret
        )


if __name__ == "__main__":
    main()
