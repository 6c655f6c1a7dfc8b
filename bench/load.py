"""Fills an installation with clients and checks of the targets; runs inside it: `python -m bench.load --help`."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import django

from bench.targets.behaviour import FOR_EVER, KEYWORD, Kind, Target, target_of


def url_of(target: Target, addresses: dict[str, str]) -> str:
    """Where a target is found."""
    return addresses["https" if target.tls else "http"] + target.path


def load(
    *, clients: int, checks: int, interval_s: int, addresses: dict[str, str]
) -> dict[str, Any]:
    """Make clients and checks, point each check at a target of its own; returns who misbehaves."""
    from django.db import transaction

    with transaction.atomic():  # a snapshot sees all of it or nothing
        return _load(clients=clients, checks=checks, interval_s=interval_s, addresses=addresses)


def _load(
    *, clients: int, checks: int, interval_s: int, addresses: dict[str, str]
) -> dict[str, Any]:
    from checks.models import Check
    from provisioning.demo import make_load

    make_load(clients=clients, checks=checks, url=f"{addresses['http']}/ok/100/0")
    rows = list(Check.objects.across_clients().order_by("id"))
    kinds: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        target = target_of(number)
        row.url = url_of(target, addresses)
        row.keyword = [KEYWORD]
        row.interval_s = interval_s
        row.timeout_ms = min(row.timeout_ms, (interval_s - 1) * 1000)
        if target.kind is not Kind.OK:
            kinds.setdefault(target.kind, []).append(row.id)
    fields = ["url", "keyword", "interval_s", "timeout_ms"]
    Check.objects.across_clients().bulk_update(rows, fields, batch_size=1000)
    return {
        "checks": len(rows),
        "misbehaving": kinds,
        "down_for_ever": [check for kind in FOR_EVER for check in kinds.get(kind, [])],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Fill an installation with clients and checks.")
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--checks", type=int, required=True, help="of each client")
    parser.add_argument("--interval", type=int, default=60, help="seconds")
    parser.add_argument("--targets", type=Path, required=True, help="targets.json")
    options = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "uptime.settings")
    django.setup()
    addresses = json.loads(options.targets.read_text())
    made = load(
        clients=options.clients,
        checks=options.checks,
        interval_s=options.interval,
        addresses=addresses,
    )
    print(json.dumps(made))


if __name__ == "__main__":
    main()
