"""Dead letters > the counters of their minutes: what the engine accepted and then gave up is told to operators.

A letter counts once: its row and the counter are written in one transaction, and only then is the message deleted.
Dying in between brings the message once more, and its row is there.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db import connection, transaction

from checks.models import DeadLetter as CountedLetter
from checks.models import MinuteRun, Region
from checks.pipeline.alarm import alarm_of
from checks.pipeline.runs import as_time
from fanout_lambdas.dead_letters import DeadLetter, DeadLetters, QueueAway

logger = logging.getLogger(__name__)

AT_ONCE = 100
MOST_TURNS = 10
"""Of one queue in one call; the next call goes on."""
_LOCK = 0x6C657474


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterReport:
    """What one call found. `repeated`: letters that had been counted before; `away`: regions whose queue failed."""

    counted: int = 0
    repeated: int = 0
    away: tuple[str, ...] = ()


def count_dead_letters(queues: Mapping[str, DeadLetters]) -> LetterReport:
    """Take what lies in each region's queue; a queue that is away does not stop the others."""
    counted = repeated = 0
    away: list[str] = []
    for region, queue in queues.items():
        try:
            for _ in range(MOST_TURNS):
                letters = queue.receive(AT_ONCE)
                new = _count(region, letters) if letters else 0
                counted, repeated = counted + new, repeated + len(letters) - new
                queue.delete(letters)
                if len(letters) < AT_ONCE:
                    break
        except QueueAway as error:
            logger.error("%s", error)
            away.append(region)
    return LetterReport(counted=counted, repeated=repeated, away=tuple(away))


def _count(code: str, letters: Sequence[DeadLetter]) -> int:
    """Write down the letters that nobody wrote down yet, and add them to their runs; how many that were.

    A region's workers may write to its queue: what they say of another region does not count.
    """
    found = {letter.request_id: letter for letter in letters}
    with transaction.atomic():
        with connection.cursor() as cursor:
            # Two calls at once: the second finds the first one's rows.
            cursor.execute("select pg_advisory_xact_lock(%s)", [_LOCK])
        known = CountedLetter.objects.filter(request_id__in=found)
        for request_id in known.values_list("request_id", flat=True):
            del found[request_id]
        region = Region.objects.filter(code=code).first()
        rows = [
            CountedLetter(
                request_id=letter.request_id,
                minute=as_time(letter.minute),
                region=region,
                function=letter.function,
                condition=letter.condition,
                invocations=letter.invocations,
                batches=list(letter.batches),
            )
            for letter in found.values()
            if region is not None and letter.region == code
        ]
        CountedLetter.objects.bulk_create(rows)
        _add_to_runs(rows)
    for letter in found.values():
        if region is None or letter.region != code:
            logger.error(
                "a dead letter in %s is of region %r and does not count", code, letter.region
            )
    return len(rows)


def _add_to_runs(rows: Sequence[CountedLetter]) -> None:
    """In the order of minutes, as everybody locks runs. A minute without a run gets the count with its run."""
    sums = Counter((row.minute, row.region_id) for row in rows)
    for (minute, region_id), count in sorted(sums.items()):
        run = MinuteRun.objects.select_for_update().filter(minute=minute, region_id=region_id)
        for held in run:
            held.dead_letters += count
            if held.closed_at is not None:
                held.alarm = alarm_of(held)
            held.save(update_fields=["dead_letters", "alarm"])
