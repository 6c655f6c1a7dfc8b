"""What operators see of the machinery, across clients and without their secrets (hop 10)."""

from __future__ import annotations

import email
import email.policy
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

from django.db.models import Sum

from checks.models import BatchReport, DeadLetter, MinuteRun
from dashboard.figures import format_count

PAGE_MINUTES = 60
MOST_LETTERS = 200
# What follows sets a password or confirms an address: it is for the one it was sent to.
_KEY_LINK = re.compile(r"(/accounts/(?:[^\s\"'<>]*/)?(?:key|confirm-email)/)[^\s\"'<>/]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTotals:
    """Sums over some minute runs."""

    planned: int
    answered: int
    late: int
    missed: int
    void: int
    excluded: int
    alarms: int

    @property
    def due(self) -> int:
        """Slots that wanted an answer: a check that was deleted or paused meanwhile wants none."""
        return self.planned - self.excluded

    @property
    def share(self) -> float | None:
        return self.answered / self.due if self.due else None


def minute_runs(*, before: datetime | None = None) -> list[MinuteRun]:
    rows = MinuteRun.objects.select_related("region")
    if before is not None:
        rows = rows.filter(minute__lt=before)
    return list(rows.order_by("-minute", "region__code")[:PAGE_MINUTES])


def run_state(run: MinuteRun, now: datetime) -> str:
    """One word for a run: new, running, done, partial or missed."""
    if run.minute > now:
        return "planned"
    if run.planned and run.missed >= run.planned:
        return "missed"
    if run.closed_at is None:
        return "running"
    return "done" if run.missed == run.late == 0 else "partial"


def hitches(run: MinuteRun) -> str:
    """What was not smooth about a run's invocations, as far as no alarm says it: "12 throttled, 14 retried"."""
    counts = ((run.throttled, "throttled"), (run.retried, "retried"))
    return ", ".join(f"{number:,} {word}" for number, word in counts if number)


def invocations(run: MinuteRun) -> str:
    """How all of a run's invocations went, in a few words."""
    parts = [hitches(run)]
    if run.failed:
        parts.append(f"{format_count(run.failed, 'batch', 'batches')} not started")
    if run.dead_letters:
        parts.append(f"{run.dead_letters:,} given up")
    if told := ", ".join(filter(None, parts)):
        return told
    if run.dispatch_report:
        return "all accepted at the first try"
    return "not known" if run.closed_at else "not known yet"


def totals(*, now: datetime, span: timedelta) -> RunTotals:
    """Of the runs that are over: one whose deadline still runs would look like a loss."""
    rows = MinuteRun.objects.filter(minute__gte=now - span, minute__lt=now)
    sums = rows.exclude(closed_at=None).aggregate(
        planned=Sum("planned"),
        answered=Sum("answered"),
        late=Sum("late"),
        missed=Sum("missed"),
        void=Sum("void"),
        excluded=Sum("excluded"),
    )
    numbers = {name: value or 0 for name, value in sums.items()}
    return RunTotals(**numbers, alarms=rows.exclude(alarm="").count())


def runs_of(minute: datetime) -> list[MinuteRun]:
    rows = MinuteRun.objects.filter(minute=minute).select_related("region")
    return list(rows.order_by("region__code"))


def batches_of(minute: datetime) -> list[BatchReport]:
    rows = BatchReport.objects.filter(minute=minute).select_related("region")
    return list(rows.order_by("region__code", "batch", "attempt"))


def dead_letters_of(minute: datetime) -> list[DeadLetter]:
    """The minute's invocations that the engine accepted and then gave up."""
    rows = DeadLetter.objects.filter(minute=minute).select_related("region")
    return list(rows.order_by("region__code", "received_at", "id")[:MOST_LETTERS])


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message that embedded mode wrote into a file in place of sending it."""

    name: str
    at: datetime
    sender: str
    to: str
    subject: str
    text: str
    html: str


def letters(folder: Path, *, count: int = 50) -> list[Letter]:
    """The newest messages of the mail folder."""
    if not folder.is_dir():
        return []
    files = sorted(
        (path for path in folder.iterdir() if path.is_file() and path.suffix in {".eml", ".log"}),
        key=lambda path: (path.stat().st_mtime, path.name),
        reverse=True,
    )
    return [letter for path in files[:count] if (letter := _read(path)) is not None]


def letter(folder: Path, name: str) -> Letter | None:
    """One message by the name of its file; only names that the folder itself lists."""
    known = {path.name: path for path in folder.iterdir()} if folder.is_dir() else {}
    return _read(known[name]) if name in known and known[name].is_file() else None


def _read(path: Path) -> Letter | None:
    try:
        raw = path.read_bytes()
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    plain, rich = message.get_body(("plain",)), message.get_body(("html",))
    return Letter(
        name=path.name,
        at=written,
        sender=str(message["From"] or ""),
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or "(no subject)"),
        text=without_keys(plain.get_content()) if plain else "",
        html=without_keys(rich.get_content()) if rich else "",
    )


def without_keys(text: str) -> str:
    """A message as operators may read it: the keys of sign-in links are hidden."""
    return _KEY_LINK.sub(r"\1[hidden]", text)
