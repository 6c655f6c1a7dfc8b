"""A check's row > its plan in the snapshot: when it is due, and what a worker has to know of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cryptography.fernet import InvalidToken
from django.db import connection

from checks.models import Region
from checks.models.result import REASONS
from clients.encryption import cipher
from fanout_lambdas.sealing import SECRET_FIELDS, Sealer
from fanout_lambdas.shared.contracts import Reason
from fanout_lambdas.shared.contracts.snapshot import CheckPlan
from fanout_lambdas.shared.slots import phase

logger = logging.getLogger(__name__)

SLOW_LANE_S = 600
"""A check whose last result timed out rides in the slow lane for this long, or for 3 intervals if that is longer."""

_REQUEST: Final[Mapping[str, str]] = {
    "url": "c.url",
    "kind": "nullif(c.kind, 'http')",
    "timeout_ms": "nullif(c.timeout_ms, 10000)",
    "family": "nullif(c.family, 'any')",
    "max_latency_ms": "c.max_latency_ms",
    "max_latency_outcome": "nullif(c.max_latency_outcome, 'degraded')",
    "method": "nullif(c.method, 'GET')",
    "follow_redirects": "nullif(c.follow_redirects, true)",
    "max_redirects": "case c.kind when 'http' then nullif(c.max_redirects, 10) end",
    "max_body_bytes": "nullif(c.max_body_bytes, 1048576)",
    "min_body_bytes": "c.min_body_bytes",
    "expected_status": "nullif(nullif(c.expected_status, '{}'), '{200-299}')",
    "expected_url": "nullif(c.expected_url, '')",
    "keyword": "nullif(c.keyword, '{}')",
    "keyword_absent": "nullif(c.keyword_absent, '{}')",
    "regex": "nullif(c.regex, '{}')",
    "regex_absent": "nullif(c.regex_absent, '{}')",
    "json": "nullif(c.json, '[]')::text",
    "header": "nullif(c.header, '[]')::text",
    "verify_tls": "nullif(c.verify_tls, true)",
    "cert_min_days": "case when c.kind = 'tls' or c.url ilike 'https://%%' then c.cert_min_days end",
    "expect": "nullif(c.expect, '')",
    "record_type": "nullif(c.record_type, 'A')",
    "record_values": "nullif(c.record_values, '{}')",
    "name_server": "nullif(c.name_server, '')",
}
"""The fields of the Probe contract; null, and so left out, where they equal its defaults: a tenth of the bytes."""
_DOCUMENTS: Final = ("json", "header")
_OWN, _HEAD = 6, 6 + len(SECRET_FIELDS)
"""How many columns the planner needs, and how many stand before the request's."""
_CHECKS = f"""
    select c.id, c.interval_s, c.regions, c.rotate,
      coalesce(seen.total_us, 0), coalesce(seen.slow, false),
      {", ".join(f"c.{name}" for name in SECRET_FIELDS)},
      {", ".join(_REQUEST.values())}
    from checks_check c
    join clients_client on clients_client.id = c.client_id
    left join (
      select s.check_id, max(s.last_total_us) as total_us,
        bool_or(s.last_reason = %(timeout)s and s.last_at > coalesce(%(now)s, now())
          - make_interval(secs => greatest(%(slow_for)s, 3 * own.interval_s))) as slow
      from region_state s join checks_check own on own.id = s.check_id
      where %(ids)s::bigint[] is null or s.check_id = any(%(ids)s)
      group by s.check_id
    ) seen on seen.check_id = c.id
    where c.deleted_at is null and c.paused_at is null and clients_client.suspended_at is null
      and c.kind <> 'heartbeat'
      and (%(ids)s::bigint[] is null or c.id = any(%(ids)s))
    order by c.id
"""


def check_plans(
    check_ids: Sequence[int] | None = None, *, now: datetime | None = None
) -> list[CheckPlan]:
    """The checks that are probed, as the planner sees them; no ids means all. `now` decides who is slow."""
    regions = {region.id: region for region in Region.objects.filter(active=True)}
    codes = {number: region.code for number, region in regions.items()}
    with connection.cursor() as cursor:
        cursor.execute(
            _CHECKS,
            {
                "timeout": REASONS[Reason.TIMEOUT],
                "now": now,
                "slow_for": SLOW_LANE_S,
                "ids": None if check_ids is None else list(check_ids),
            },
        )
        rows = cursor.fetchall()
    sealing = _Sealing(regions.values(), keep=check_ids is None)
    plans: list[CheckPlan] = []
    for row in rows:
        try:
            plan = _plan(row, codes, sealing)
        except (InvalidToken, ValueError):
            # One unreadable secret must not blind everybody else.
            logger.exception("check %s is left out: its secrets cannot be read", row[0])
            continue
        if plan.regions:
            plans.append(plan)
    sealing.forget_the_rest()
    return plans


def _plan(row: Sequence[Any], codes: Mapping[int, str], sealing: _Sealing) -> CheckPlan:
    check_id, interval_s, regions, rotate, total_us, slow = row[:_OWN]
    secrets: _Ciphertexts = tuple(row[_OWN:_HEAD])
    own = tuple(codes[number] for number in regions if number in codes)
    request = {
        name: value for name, value in zip(_REQUEST, row[_HEAD:], strict=True) if value is not None
    }
    for name in _DOCUMENTS:
        if name in request:
            request[name] = json.loads(request[name])
    return CheckPlan(
        check_id=check_id,
        interval_s=interval_s,
        phase_s=phase(check_id, interval_s),
        regions=own,
        request=request,
        rotate=rotate,
        expected_ms=total_us // 1000,
        slow=slow,
        sealed=sealing.seal(check_id, own, secrets) if any(secrets) else None,
    )


_Ciphertexts = tuple[str, ...]
_kept: dict[tuple[int, str, str], tuple[_Ciphertexts, str]] = {}
"""By check, region and its key: the sealed text of the last snapshot with the ciphertexts it was made from.
Sealing costs more than all the rest of a snapshot, and a check rarely changes."""


class _Sealing:
    """Re-encrypts a check's secrets from our own key to those of its regions."""

    def __init__(self, regions: Iterable[Region], *, keep: bool) -> None:
        self._keys = {region.code: region.sealing_key for region in regions}
        self._sealers = {code: Sealer([key]) for code, key in self._keys.items()}
        self._keep = keep
        self._used: dict[tuple[int, str, str], tuple[_Ciphertexts, str]] = {}

    def seal(self, check_id: int, regions: Sequence[str], source: _Ciphertexts) -> dict[str, str]:
        secrets = None
        sealed: dict[str, str] = {}
        for code in regions:
            place = check_id, code, self._keys[code]
            held = _kept.get(place)
            if held is not None and held[0] == source:
                sealed[code] = held[1]
            else:
                secrets = secrets or _open(source)
                sealed[code] = self._sealers[code].seal(secrets)
            self._used[place] = source, sealed[code]
        return sealed

    def forget_the_rest(self) -> None:
        """After a whole snapshot only what it used is remembered."""
        if self._keep:
            _kept.clear()
            _kept.update(self._used)


def _open(source: _Ciphertexts) -> dict[str, Any]:
    secrets: dict[str, Any] = {}
    for name, ciphertext in zip(SECRET_FIELDS, source, strict=True):
        if ciphertext:
            text = cipher().decrypt(ciphertext.encode()).decode()
            secrets[name] = json.loads(text) if name in {"headers", "auth"} else text
    return secrets
