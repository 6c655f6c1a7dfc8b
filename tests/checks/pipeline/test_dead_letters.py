"""Dead letters are counted once, into their minute's run, whatever dies on the way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from django.db import DataError, transaction

from checks.models import DeadLetter as CountedLetter
from checks.models import MinuteRun, Region
from checks.pipeline.dead_letters import count_dead_letters
from checks.pipeline.watch import watch
from fanout_lambdas.dead_letters import DeadLetter, QueueAway
from fanout_lambdas.objectstore import ObjectStore
from tests.checks.pipeline.fleet import MINUTE, at, check
from tests.checks.pipeline.test_watch import Sent
from tests.regions import local_region

pytestmark = pytest.mark.django_db


class Queue:
    """A queue in memory: what is not deleted comes again."""

    def __init__(self, *letters: DeadLetter, deletes: bool = True) -> None:
        self.letters = list(letters)
        self.deletes = deletes

    def receive(self, most: int = 100) -> list[DeadLetter]:
        return self.letters[:most]

    def delete(self, letters: Sequence[DeadLetter]) -> None:
        if not self.deletes:
            raise QueueAway("the queue is away")
        gone = {letter.receipt for letter in letters}
        self.letters = [letter for letter in self.letters if letter.receipt not in gone]


class Away:
    def receive(self, most: int = 100) -> list[DeadLetter]:
        raise QueueAway("the queue of mars is away")

    def delete(self, letters: Sequence[DeadLetter]) -> None:
        raise AssertionError("nothing was received")


def letter(number: int, **fields: Any) -> DeadLetter:
    defaults: dict[str, Any] = {
        "request_id": f"request-{number}",
        "function": "worker",
        "condition": "EventAgeExceeded",
        "invocations": 0,
        "region": "local",
        "minute": MINUTE,
        "batches": (number,),
        "receipt": f"receipt-{number}",
    }
    return DeadLetter(**{**defaults, **fields})


def run_of(minute: int = MINUTE, region: Region | None = None, **fields: Any) -> MinuteRun:
    defaults = {"snapshot_key": "x", "dispatch_report": {"batches": 1}}
    return MinuteRun.objects.create(
        minute=at(minute), region=region or local_region(), **{**defaults, **fields}
    )


def dead(run: MinuteRun) -> int:
    run.refresh_from_db()
    return run.dead_letters


def test_letters_are_added_to_the_runs_of_their_minutes(db: None) -> None:
    first, second = run_of(), run_of(MINUTE + 60)
    queue = Queue(letter(1), letter(2), letter(3, minute=MINUTE + 60, function="dispatcher"))

    report = count_dead_letters({"local": queue})

    assert (report.counted, report.repeated, report.away) == (3, 0, ())
    assert (dead(first), dead(second)) == (2, 1)
    assert queue.letters == []
    row = CountedLetter.objects.get(request_id="request-2")
    assert (row.function, row.condition, row.invocations, row.batches) == (
        "worker",
        "EventAgeExceeded",
        0,
        [2],
    )


def test_a_letter_that_comes_again_is_deleted_and_not_counted(db: None) -> None:
    run = run_of()
    queue = Queue(letter(1), deletes=False)
    assert count_dead_letters({"local": queue}).away == ("local",)  # died before the delete
    assert dead(run) == 1

    queue.deletes = True
    queue.letters += [letter(1, receipt="another copy"), letter(2)]
    report = count_dead_letters({"local": queue})

    assert (report.counted, report.repeated) == (1, 2)
    assert dead(run) == 2
    assert queue.letters == []


def test_a_regions_queue_tells_of_that_region_alone(db: None) -> None:
    """Who can write to the queue of one region must not raise alarms in another."""
    run = run_of()
    queue = Queue(letter(1))

    report = count_dead_letters({"mars": queue})

    assert (report.counted, dead(run)) == (0, 0)
    assert queue.letters == []


def test_what_dies_before_the_commit_counts_nothing(db: None) -> None:
    full = 2**31 - 1  # one more, and the database refuses the row
    run = run_of(dead_letters=full)
    queue = Queue(letter(1), letter(2))

    with pytest.raises(DataError), transaction.atomic():
        count_dead_letters({"local": queue})

    assert (dead(run), CountedLetter.objects.count(), len(queue.letters)) == (full, 0, 2)


def test_a_queue_that_is_away_does_not_stop_the_others(db: None) -> None:
    run = run_of()

    report = count_dead_letters({"mars": Away(), "local": Queue(letter(1))})

    assert (report.counted, report.away) == (1, ("mars",))
    assert dead(run) == 1


def test_more_than_one_turn_s_letters_are_taken_in_one_call(db: None) -> None:
    run = run_of()
    queue = Queue(*(letter(number) for number in range(250)))

    assert count_dead_letters({"local": queue}).counted == 250
    assert (dead(run), queue.letters) == (250, [])


def test_a_letter_of_an_unknown_region_is_dropped(
    db: None, caplog: pytest.LogCaptureFixture
) -> None:
    queue = Queue(letter(1, region="mars"))

    assert count_dead_letters({"local": queue}).counted == 0
    assert queue.letters == []
    assert "region 'mars'" in caplog.text


def test_the_operator_is_told_also_after_the_run_was_closed(db: None, store: ObjectStore) -> None:
    open_run = run_of()
    count_dead_letters({"local": Queue(letter(1), letter(2))})
    assert (dead(open_run), open_run.alarm) == (2, "")

    watch(now=at(MINUTE + 180), store=store, invoker=Sent())
    open_run.refresh_from_db()
    assert "2 invocations were given up" in open_run.alarm

    count_dead_letters({"local": Queue(letter(3))})
    open_run.refresh_from_db()
    assert "3 invocations were given up" in open_run.alarm


def test_letters_that_came_before_their_run_are_in_it(db: None, store: ObjectStore) -> None:
    """A minute that was dispatched while the database was away gets its run from the watch."""
    check()
    run_of(closed_at=at(MINUTE + 130))
    count_dead_letters({"local": Queue(letter(1, minute=MINUTE + 60))})

    watch(now=at(MINUTE + 300), store=store, invoker=Sent())

    assert dead(MinuteRun.objects.get(minute=at(MINUTE + 60))) == 1
