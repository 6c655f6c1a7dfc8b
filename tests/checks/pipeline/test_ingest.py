"""Hop 5: every slot once, whatever arrives, however often."""

from __future__ import annotations

from datetime import UTC

import pytest

from checks.history.partitions import ensure_partitions
from checks.models import (
    BatchReport,
    Evidence,
    ExtraSlot,
    MinuteRun,
    Region,
    RegionState,
    Result,
    RolledHour,
)
from checks.models.result import OUTCOME_OF
from checks.pipeline.ingest import WrongRegion, ingest_batch
from checks.pipeline.runs import as_time
from checks.pipeline.slots import marker, take_slots
from fanout_lambdas.shared.contracts import EXTRA_BATCHES_FROM, Certificate, Outcome
from fanout_lambdas.shared.contracts import Evidence as Seen
from fanout_lambdas.shared.contracts.parsed_batch import ItemError
from tests.checks.pipeline.fleet import MINUTE, at, batch, check, client, result, slot_of
from tests.regions import local_region

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def partitions(db: None) -> None:
    ensure_partitions(now=at(MINUTE), days_ahead=1)


@pytest.fixture
def region(db: None) -> Region:
    return local_region()


@pytest.fixture
def run(region: Region) -> MinuteRun:
    return MinuteRun.objects.create(minute=at(MINUTE), region=region, planned=3)


def counters(run: MinuteRun) -> dict[str, int]:
    run.refresh_from_db()
    names = ("answered", "late", "void", "missed", "duplicates", "rechecks")
    return {name: value for name in names if (value := getattr(run, name))}


def test_results_become_rows_with_the_clients_of_their_checks(region: Region) -> None:
    one, two = check(), check(client("other"))
    down = result(
        two,
        outcome=Outcome.DOWN,
        http_status=500,
        certificate=Certificate(not_after=MINUTE + 86_400, issuer="CA", subject="shop"),
        evidence=Seen(headers=(("server", "x"),), body="Oops"),
    )

    report = ingest_batch(batch([result(one), down]), region=region, now=at(MINUTE + 60))

    assert (report.accepted, report.duplicate, report.late, report.refused) == (2, 0, 0, 0)
    rows = {row.check_id: row for row in Result.objects.across_clients()}
    assert rows[one.pk].client_id == one.client_id
    assert rows[two.pk].client_id == two.client_id
    assert rows[one.pk].at == at(slot_of(one))
    assert rows[one.pk].stored_ms == (MINUTE + 60 - slot_of(one)) * 1000
    assert OUTCOME_OF[rows[two.pk].outcome] is Outcome.DOWN
    (evidence,) = Evidence.objects.across_clients()
    assert evidence.check_id == two.pk
    assert evidence.message == "500 instead of 200-299"
    assert evidence.document["evidence"] == {"headers": [["server", "x"]], "body": "Oops"}
    state = RegionState.objects.across_clients().get(check_id=two.pk)
    assert state.cert_not_after == at(MINUTE + 86_400)
    (reported,) = BatchReport.objects.all()
    assert (reported.results, reported.accepted, reported.lag_p99_ms) == (2, 2, 2)


def test_a_repeated_batch_has_no_second_effect(region: Region, run: MinuteRun) -> None:
    one = check()
    parsed = batch([result(one, outcome=Outcome.DOWN)])
    ingest_batch(parsed, region=region, now=at(MINUTE + 60))
    before = list(RegionState.objects.across_clients().values())

    again = ingest_batch(parsed, region=region, now=at(MINUTE + 61))

    assert (again.accepted, again.duplicate) == (0, 1)
    assert list(RegionState.objects.across_clients().values()) == before
    assert counters(run) == {"answered": 1, "duplicates": 1}
    assert BatchReport.objects.get().accepted == 1


def test_a_slot_twice_in_one_batch_keeps_the_first_real_result(region: Region) -> None:
    one = check()
    void, up, down = (result(one, outcome=o) for o in (Outcome.VOID, Outcome.UP, Outcome.DOWN))

    report = ingest_batch(batch([void, up, down]), region=region, now=at(MINUTE + 60))

    assert (report.accepted, report.duplicate) == (1, 2)
    assert OUTCOME_OF[Result.objects.across_clients().get().outcome] is Outcome.UP


def test_bad_items_are_named_by_index_and_do_not_stop_the_batch(region: Region) -> None:
    one, gone = check(), check(deleted_at=at(MINUTE))
    good = result(one)
    ahead = result(one, MINUTE + 200)
    behind = result(one, MINUTE - 86_500)
    parsed = batch([result(999_999_999, MINUTE), ahead, good, behind, result(gone)])

    report = ingest_batch(parsed, region=region, now=at(MINUTE + 60))

    assert (report.accepted, report.refused) == (1, 4)
    assert [(error.index, error.field) for error in report.errors] == [
        (0, "check_id"),
        (1, "slot"),
        (3, "slot"),
        (4, "check_id"),
    ]
    assert all(isinstance(error, ItemError) and error.message for error in report.errors)


def test_a_batch_of_another_region_is_refused_whole(region: Region) -> None:
    one = check()

    with pytest.raises(WrongRegion):
        ingest_batch(batch([result(one)], region="mars"), region=region, now=at(MINUTE + 60))

    assert not Result.objects.across_clients().exists()


def test_answered_late_and_void_are_told_apart(region: Region, run: MinuteRun) -> None:
    quick, slow, unfit = check(), check(), check()
    now = at(slot_of(slow) + 60.5)
    sent = [
        result(slow),
        result(quick, slot_of(quick)),
        result(unfit, outcome=Outcome.VOID),
    ]
    in_time = sum(now.timestamp() - each.slot <= 60 for each in sent[:2])

    ingest_batch(batch(sent), region=region, now=now)

    expected = {"answered": in_time, "late": 2 - in_time, "void": 1, "missed": 1}
    assert counters(run) == {name: value for name, value in expected.items() if value}


@pytest.mark.parametrize("marked", [Outcome.MISSED, Outcome.VOID])
def test_a_late_real_result_replaces_a_marker_and_mends_a_closed_run(
    region: Region, run: MinuteRun, marked: Outcome
) -> None:
    one = check()
    slot = slot_of(one)
    row = marker(
        slot=slot,
        check_id=one.pk,
        client_id=one.client_id,
        outcome=marked,
        now=at(slot + 130),
    )
    take_slots([row], region_id=region.id)
    void = int(marked is Outcome.VOID)
    MinuteRun.objects.update(answered=2, missed=1, void=void, closed_at=at(MINUTE + 130))

    report = ingest_batch(batch([result(one)]), region=region, now=at(MINUTE + 3600))

    assert (report.accepted, report.late) == (1, 1)
    assert counters(run) == {"answered": 2, "late": 1}
    assert OUTCOME_OF[Result.objects.across_clients().get().outcome] is Outcome.UP


def test_a_marker_does_not_replace_anything(region: Region) -> None:
    one = check()
    ingest_batch(batch([result(one)]), region=region, now=at(MINUTE + 60))

    report = ingest_batch(
        batch([result(one, outcome=Outcome.VOID)]), region=region, now=at(MINUTE + 61)
    )

    assert (report.accepted, report.duplicate) == (0, 1)
    assert OUTCOME_OF[Result.objects.across_clients().get().outcome] is Outcome.UP


@pytest.mark.parametrize(
    ("interval_s", "late_s", "believed"), [(10, 59, "down"), (60, 60, "up"), (120, 60, "down")]
)
def test_a_lost_slot_probed_in_a_later_ones_time_is_stored_and_moves_nothing(
    region: Region, run: MinuteRun, interval_s: int, late_s: int, believed: str
) -> None:
    one = check(interval_s=interval_s, timeout_ms=5_000, down_after=1)
    slot = slot_of(one)
    before = slot - interval_s
    ingest_batch(batch([result(one, before)]), region=region, now=at(before + 1))

    again = batch([result(one, outcome=Outcome.DOWN)], attempt=2, started=slot + late_s)
    report = ingest_batch(again, region=region, now=at(slot + late_s + 1))

    assert report.accepted == 1
    one.refresh_from_db()
    assert one.state == believed


def test_rechecks_are_counted_apart_and_close_their_extra_slot(
    region: Region, run: MinuteRun
) -> None:
    one = check()
    slot = slot_of(one) + 10 if slot_of(one) + 10 < MINUTE + 60 else slot_of(one) - 10
    ExtraSlot.objects.create(
        client=one.client, subject=one, region=region, slot=at(slot), why=ExtraSlot.Why.RECHECK
    )

    ingest_batch(
        batch([result(one, slot)], number=EXTRA_BATCHES_FROM + 7), region=region, now=at(slot + 2)
    )

    assert counters(run) == {"rechecks": 1}
    assert ExtraSlot.objects.across_clients().get().closed_at == at(slot + 2)
    assert Result.objects.across_clients().get().extra


def test_a_result_for_an_hour_that_was_rolled_up_has_it_rolled_again(region: Region) -> None:
    one = check()
    hour = at(MINUTE).replace(minute=0, tzinfo=UTC)
    RolledHour.objects.create(hour=hour)

    ingest_batch(batch([result(one)]), region=region, now=at(MINUTE + 2 * 3600))

    assert not RolledHour.objects.exists()


def test_every_number_the_contract_allows_fits_into_a_row(region: Region) -> None:
    one = check()
    big = result(one, total_us=10**9, bytes=2**40, lag_us=10**9, http_status=999)

    report = ingest_batch(batch([big]), region=region, now=as_time(slot_of(one) + 86_400))

    assert report.accepted == 1
