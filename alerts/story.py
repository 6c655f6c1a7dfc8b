"""What an event tells, as plain facts: read from the event, its incident and its check, once, when it is queued."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.conf import settings

from alerts import wording
from checks.heartbeats.schedule import words
from checks.models import Check, Event, Kind
from fanout_lambdas.shared.contracts import Reason

MAX_CONFIRMATIONS: Final = 20
MAX_TEXT: Final = 500
MAX_EXCERPT: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """One result that made the verdict."""

    at: datetime
    region: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One assertion that did not hold."""

    kind: str
    expected: str
    got: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    event_id: int
    kind: str
    at: datetime
    client_name: str
    check_id: int
    check_name: str
    check_url: str
    target: str
    """What people recognise it by: the address, or how often a heartbeat's job has to call."""
    heartbeat: bool
    """Its own job called, or did not: there is nobody who confirms it."""
    link: str
    zone: ZoneInfo
    reason: str
    message: str
    http_status: int | None
    incident_id: int | None
    since: datetime
    """Start of the outage, or of the slowness."""
    opened_at: datetime | None
    ended_at: datetime | None
    last_good_at: datetime | None
    confirmations: tuple[Confirmation, ...]
    comparisons: tuple[Comparison, ...]
    excerpt: str

    @property
    def lasted_s(self) -> int | None:
        """Length of the outage, once it is over."""
        if self.ended_at is None:
            return None
        return max(0, int((self.ended_at - self.since).total_seconds()))

    @property
    def because(self) -> str:
        if self.heartbeat:
            return wording.SILENCE.get(self.reason, "")
        return wording.because(self.reason, self.http_status, outage=self.incident_id is not None)


def tell(event: Event) -> Story:
    """The story of an event that comes with its check, incident and client."""
    check, incident, payload = event.subject, event.incident, event.payload
    document: Mapping[str, Any] = incident.document if incident else {}
    reason = str(payload.get("reason") or (incident.reason if incident else ""))
    message = str(payload.get("message") or (incident.message if incident else ""))
    http_status = payload.get("http_status") or (incident.http_status if incident else None)
    if event.kind == Event.Kind.UP and incident is not None:
        # The good result has nothing to tell; what ended is worth repeating.
        reason, message = incident.reason, incident.message
        http_status = incident.http_status
    heartbeat = check.kind == Kind.HEARTBEAT
    confirmed_by = payload.get("confirmed_by") or document.get("confirmed_by") or ()
    evidence = payload if "assertions" in payload or "evidence" in payload else document
    comparisons = _comparisons(evidence.get("assertions") or ())
    if not comparisons and reason == Reason.STATUS and http_status:
        expected = ", ".join(check.expected_status) or "200-299"
        comparisons = (Comparison(kind="status", expected=expected, got=str(http_status)),)
    return Story(
        event_id=event.pk,
        kind=event.kind,
        at=event.at,
        client_name=wording.one_line(event.client.name, 100),
        check_id=check.pk,
        check_name=wording.one_line(check.name, 100),
        check_url=check.url,
        target=f"Expected {words(check.interval_s, check.cron, check.timezone)}"
        if heartbeat
        else check.url,
        heartbeat=heartbeat,
        link=check_link(check),
        zone=wording.zone_of(event.client.time_zone),
        reason=reason,
        message=wording.paragraph(message, MAX_TEXT),
        http_status=int(http_status) if http_status is not None else None,
        incident_id=incident.pk if incident else None,
        since=incident.started_at if incident else event.at,
        opened_at=incident.opened_at if incident else None,
        ended_at=incident.ended_at if incident else None,
        last_good_at=incident.last_good_at if incident else None,
        confirmations=() if heartbeat else _confirmations(confirmed_by),
        comparisons=comparisons,
        excerpt=_excerpt(evidence.get("evidence"), end=heartbeat),
    )


def check_link(check: Check) -> str:
    return f"{settings.SITE_URL}/checks/{check.pk}/"


def _confirmations(rows: Sequence[Sequence[Any]]) -> tuple[Confirmation, ...]:
    return tuple(
        Confirmation(
            at=_time(slot), region=str(region), message=wording.paragraph(str(said or ""), MAX_TEXT)
        )
        for slot, region, said in rows[:MAX_CONFIRMATIONS]
    )


def _comparisons(rows: Sequence[Mapping[str, Any]]) -> tuple[Comparison, ...]:
    return tuple(
        Comparison(
            kind=str(row["kind"]).removeprefix("expected_").replace("_", " "),
            expected=wording.paragraph(str(row["expected"]), MAX_TEXT),
            got=wording.paragraph(str(row["got"]), MAX_TEXT),
        )
        for row in rows
        if not row["ok"]
    )[:5]


def _excerpt(evidence: Any, *, end: bool) -> str:
    """The start of an answer, or the end of what a job said: its error comes last."""
    if not isinstance(evidence, Mapping):
        return ""
    body = str(evidence.get("body") or "").strip()
    return wording.paragraph(body[-MAX_EXCERPT:] if end else body, MAX_EXCERPT)


def _time(slot: Any) -> datetime:
    """A slot as the pipeline writes it: epoch seconds, or a time in ISO form."""
    if isinstance(slot, str):
        found = datetime.fromisoformat(slot)
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    return datetime.fromtimestamp(slot, UTC)
