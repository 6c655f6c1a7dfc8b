"""What the operator is told of a closed run: one sentence, worked out of what the run itself holds."""

from __future__ import annotations

from collections.abc import Iterable

from checks.models import MinuteRun

LONGEST = 200
NO_TICK = "no tick ran"


def alarm_of(run: MinuteRun) -> str:
    """Nothing when all went well."""
    return "; ".join(_complaints(run))[:LONGEST]


def _complaints(run: MinuteRun) -> Iterable[str]:
    if not run.snapshot_key:
        yield NO_TICK
    elif not run.dispatch_report and run.planned:
        yield "the dispatcher left no report"
    if age := run.dispatch_report.get("snapshot_age_s"):
        yield f"planned from a snapshot {age} s old"
    if run.failed:
        yield f"{run.failed} batch{'es were' if run.failed > 1 else ' was'} not started"
    if run.dead_letters:
        yield f"{run.dead_letters} invocation{'s were' if run.dead_letters > 1 else ' was'} given up"
    if run.void:
        yield f"{run.void} of {run.planned} slots void: the prober was unfit"
    if run.missed > run.void:
        yield f"{run.missed - run.void} of {run.planned} slots missed"
    if run.late:
        yield f"{run.late} of {run.planned} slots answered late"
    if run.redispatched:
        yield f"{run.redispatched} lost batch{'es' if run.redispatched > 1 else ''} sent again"
