"""The pseudo-region in which the results of heartbeats stand (rule 15): never probed, and nobody can choose it."""

from __future__ import annotations

from checks.models import Region

CODE = "heartbeat"


def heartbeat_region() -> Region:
    """Made when it is missing. Not active, so snapshots, plans and forms pass it over; it has no keys."""
    region, _ = Region.objects.get_or_create(
        code=CODE, defaults={"name": "Heartbeat", "sealing_key": "", "active": False}
    )
    return region
