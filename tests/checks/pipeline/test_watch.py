"""Hop 11: silence is accounted for, and told to operators only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import pytest

from checks.history.partitions import ensure_partitions
from checks.models import BatchReport, Check, ExtraSlot, MinuteRun, RegionState, Result
from checks.models.result import OUTCOME_OF
from checks.pipeline import resending
from checks.pipeline.ingest import ingest_batch
from checks.pipeline.rechecks import send_due
from checks.pipeline.snapshot import take_snapshot
from checks.pipeline.watch import watch
from checks.regions import ensure_region
from fanout_lambdas.invoke import Invoked, InvokeError
from fanout_lambdas.objectstore import ObjectStore, StoreUnavailable, dispatch_key, trigger_key
from fanout_lambdas.planning import BATCHED, plan_batches
from fanout_lambdas.shared.contracts import Batch, Outcome
from fanout_lambdas.shared.contracts.dispatch import DispatchReport, TriggerReport
from fanout_lambdas.shared.contracts.snapshot import Snapshot
from tests.checks.pipeline.fleet import MINUTE, at, batch, check, client, result, slot_of
from tests.regions import local_region

pytestmark = pytest.mark.django_db
CLOSES = MINUTE + 125
OVER = MINUTE + 180
"""Of the minute's batches none can be sent again any more."""


class Sent:
    """An engine that only remembers what it was asked to start."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
        assert function == "worker"
        self.batches.append(Batch.from_json(dict(payload)))
        return Invoked()


class StoreAway:
    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise StoreUnavailable("S3 does not answer")

    put = get = list = delete = _refuse


@pytest.fixture(autouse=True)
def partitions(db: None) -> None:
    ensure_partitions(now=at(MINUTE), days_ahead=1)


@pytest.fixture
def sent() -> Sent:
    return Sent()


def prepare(store: ObjectStore, minute: int = MINUTE) -> MinuteRun:
    take_snapshot(minute, now=at(minute - 30), store=store)
    return MinuteRun.objects.get(minute=at(minute))


def dispatched(store: ObjectStore, **fields: Any) -> None:
    report = {
        "minute": MINUTE,
        "region": "local",
        "snapshot_minute": MINUTE,
        "snapshot_age_s": 0,
        "planned": 1,
        "batches": 1,
        "invoked": 1,
        "started_ms": MINUTE * 1000,
        "finished_ms": MINUTE * 1000 + 58_000,
    }
    store.put(dispatch_key(MINUTE, "local"), DispatchReport(**{**report, **fields}).to_bytes())


def answer(*checks: Check, after_s: int = 2) -> None:
    for one in checks:
        slot = slot_of(one)
        ingest_batch(batch([result(one)]), region=local_region(), now=at(slot + after_s))


def balance(run: MinuteRun) -> tuple[int, ...]:
    run.refresh_from_db()
    counts = (run.planned, run.answered, run.late, run.missed, run.excluded)
    assert run.planned == sum(counts[1:])
    return counts


def test_a_run_with_every_answer_is_closed_without_an_alarm(store: ObjectStore, sent: Sent) -> None:
    one = check()
    run = prepare(store)
    MinuteRun.objects.create(minute=at(MINUTE + 60), region=local_region(), snapshot_key="x")
    dispatched(store)
    answer(one)

    report = watch(now=at(CLOSES), store=store, invoker=sent)

    assert balance(run) == (1, 1, 0, 0, 0)
    assert (run.closed_at, run.alarm, run.dispatched) == (at(CLOSES), "", 1)
    assert report.quiet


def test_slots_without_a_result_become_missed_and_an_alarm(store: ObjectStore, sent: Sent) -> None:
    one, silent, unfit, slow = (check(state_since=at(MINUTE + 30)) for _ in range(4))
    run = prepare(store)
    dispatched(store)
    answer(one)
    answer(slow, after_s=61)
    ingest_batch(
        batch([result(unfit, outcome=Outcome.VOID)]), region=local_region(), now=at(MINUTE + 60)
    )

    watch(now=at(OVER), store=store, invoker=sent)

    assert balance(run) == (4, 1, 1, 2, 0)
    assert run.void == 1
    assert "1 of 4 slots missed" in run.alarm
    assert "1 of 4 slots void" in run.alarm
    row = Result.objects.across_clients().get(check_id=silent.pk)
    assert OUTCOME_OF[row.outcome] is Outcome.MISSED
    silent.refresh_from_db()
    assert silent.state == "new"


def test_a_minute_is_not_closed_before_its_last_slot_can_be_answered(
    store: ObjectStore, sent: Sent
) -> None:
    check()
    run = prepare(store)

    watch(now=at(CLOSES - 1), store=store, invoker=sent)

    run.refresh_from_db()
    assert run.closed_at is None


def test_stopped_checks_are_excluded(store: ObjectStore, sent: Sent) -> None:
    paused, deleted, gone = check(), check(), check(client("leaving"))
    check(client("broke", suspended_at=None))
    run = prepare(store)
    Check.objects.across_clients().filter(pk=paused.pk).update(paused_at=at(MINUTE))
    Check.objects.across_clients().filter(pk=deleted.pk).update(deleted_at=at(MINUTE))
    gone.client.delete()
    client("broke").__class__.objects.filter(slug="broke").update(suspended_at=at(MINUTE))

    watch(now=at(OVER), store=store, invoker=sent)

    assert balance(run) == (4, 0, 0, 0, 4)


def test_a_check_paused_long_after_its_lost_slot_was_missed(store: ObjectStore, sent: Sent) -> None:
    one = check()
    run = prepare(store)
    Check.objects.across_clients().update(paused_at=at(slot_of(one) + 100))

    watch(now=at(OVER + 60), store=store, invoker=sent)

    assert balance(run) == (1, 0, 0, 1, 0)


def test_a_late_result_mends_a_closed_run(store: ObjectStore, sent: Sent) -> None:
    one = check()
    run = prepare(store)
    watch(now=at(OVER), store=store, invoker=sent)
    assert balance(run) == (1, 0, 0, 1, 0)

    answer(one, after_s=1_000)

    assert balance(run) == (1, 0, 1, 0, 0)


def test_a_run_that_was_not_dispatched_says_so(store: ObjectStore, sent: Sent) -> None:
    check()
    run = prepare(store)

    watch(now=at(OVER), store=store, invoker=sent)

    run.refresh_from_db()
    assert "the dispatcher left no report" in run.alarm


def test_batches_that_were_not_started_are_told(store: ObjectStore, sent: Sent) -> None:
    check()
    run = prepare(store)
    dispatched(store, snapshot_age_s=180, failed=(0,), invoked=0)

    watch(now=at(OVER), store=store, invoker=sent)

    run.refresh_from_db()
    assert "planned from a snapshot 180 s old; 1 batch was not started" in run.alarm
    assert run.dispatched == 0


def test_a_lost_batch_goes_out_once_more_and_only_once(store: ObjectStore, sent: Sent) -> None:
    one = check()
    run = prepare(store)
    (plan,) = plan_batches(
        Snapshot.from_bytes(store.get(run.snapshot_key)), MINUTE, "local", BATCHED
    )
    lost_at = slot_of(one) + 10 + 5

    watch(now=at(lost_at), store=store, invoker=sent)
    assert sent.batches == []
    watch(now=at(lost_at + 1), store=store, invoker=sent)
    watch(now=at(lost_at + 11), store=store, invoker=sent)

    (again,) = sent.batches
    assert (again.number, again.attempt, again.probes) == (plan.number, 2, plan.probes)
    assert again.not_before == lost_at + 1
    run.refresh_from_db()
    assert run.redispatched == 1
    watch(now=at(OVER), store=store, invoker=sent)
    run.refresh_from_db()
    assert "1 lost batch sent again" in run.alarm


def test_a_batch_that_reported_is_not_sent_again(store: ObjectStore, sent: Sent) -> None:
    one = check()
    prepare(store)
    answer(one)

    watch(now=at(slot_of(one) + 30), store=store, invoker=sent)

    assert BatchReport.objects.count() == 1
    assert sent.batches == []


def test_a_batch_whose_slots_are_long_over_is_not_sent(store: ObjectStore, sent: Sent) -> None:
    one = check()
    prepare(store)

    watch(now=at(slot_of(one) + 121), store=store, invoker=sent)

    assert sent.batches == []


@pytest.mark.parametrize("offset", range(0, 60, 6))
def test_a_watch_that_comes_once_a_minute_finds_each_lost_batch(
    store: ObjectStore, sent: Sent, offset: int, settings: Any
) -> None:
    settings.PROBE_ENGINE = "lambda"
    lost, late = check(), check(timeout_ms=30_000)
    run = prepare(store)
    dispatched(store)
    answers = {lost.pk: 0, late.pk: 0}

    for turn in range(5):
        now = MINUTE + offset + 60 * turn
        watch(now=at(now), store=store, invoker=sent)
        for again in sent.batches:
            for probe in again.probes:
                if not answers[probe["check_id"]]:
                    answers[probe["check_id"]] = now + 1
                    found = batch(
                        [result(probe["check_id"], probe["slot"])], number=again.number, attempt=2
                    )
                    ingest_batch(found, region=local_region(), now=at(now + 1))

    assert all(answers.values()), "a lost batch was never sent again"
    in_time = sum(answers[one.pk] <= slot_of(one) + 60 for one in (lost, late))
    assert balance(run) == (2, in_time, 2 - in_time, 0, 0)
    assert run.redispatched == len(sent.batches) == len(run.batches)
    # A run is not closed in the turn that sends its batches again, so nothing was told as missed.
    assert "missed" not in run.alarm


def test_invocations_are_counted_from_all_reports(store: ObjectStore, sent: Sent) -> None:
    checks = [check() for _ in range(3)]
    run = prepare(store)
    answer(*checks)
    dispatched(store, retried=3, throttled=2, triggerers=2, failed=())
    for number in (1, 2):
        report = TriggerReport(
            minute=MINUTE, region="local", started=1, retried=4, throttled=1, failed=(0,)
        )
        store.put(trigger_key(MINUTE, "local", f"t{number}"), report.to_bytes())
    store.put(trigger_key(MINUTE, "local", "broken"), b"{")

    watch(now=at(OVER), store=store, invoker=sent)

    run.refresh_from_db()
    assert (run.throttled, run.retried, run.failed) == (4, 11, 1)
    assert run.dispatched == 3 - run.batches[0][3]
    assert "1 batch was not started" in run.alarm


def test_retries_that_helped_are_no_alarm(store: ObjectStore, sent: Sent) -> None:
    one = check()
    run = prepare(store)
    dispatched(store, retried=3, throttled=3)
    answer(one)

    watch(now=at(CLOSES), store=store, invoker=sent)

    run.refresh_from_db()
    assert (run.throttled, run.retried, run.alarm) == (3, 3, "")


def test_an_engine_that_refuses_does_not_keep_a_run_open(store: ObjectStore) -> None:
    class Away:
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            raise InvokeError("the region is away", permanent=False)

    one = check()
    run = prepare(store)
    assert watch(now=at(slot_of(one) + 20), store=store, invoker=Away()).resent == 0

    watch(now=at(CLOSES), store=store, invoker=Away())

    assert balance(run) == (1, 0, 0, 1, 0)


def test_minutes_without_a_tick_are_booked_as_missed(store: ObjectStore, sent: Sent) -> None:
    one = check()
    prepare(store)
    answer(one)

    report = watch(now=at(MINUTE + 5 * 60 + 10), store=store, invoker=sent)

    assert report.gap_minutes == 4
    runs = MinuteRun.objects.order_by("minute")
    assert [run.minute for run in runs] == [at(MINUTE + 60 * n) for n in range(5)]
    closed = [run for run in runs[1:] if run.closed_at]
    assert [(run.planned, run.missed) for run in closed] == [(1, 1)] * 3
    assert all(run.alarm.startswith("no tick ran") for run in closed)
    assert watch(now=at(MINUTE + 5 * 60 + 11), store=store, invoker=sent).gap_minutes == 0


def test_a_long_outage_is_booked_six_hours_back_and_no_further(
    store: ObjectStore, sent: Sent
) -> None:
    check()
    prepare(store)

    later = MINUTE + 86_400
    assert watch(now=at(later), store=store, invoker=sent).gap_minutes == 360


def test_a_fresh_installation_has_no_gap(store: ObjectStore, sent: Sent) -> None:
    local_region()

    assert watch(now=at(MINUTE), store=store, invoker=sent).gap_minutes == 0


def test_a_recheck_that_does_not_come_back_is_closed_as_missed(
    store: ObjectStore, sent: Sent
) -> None:
    one = check()
    slot = slot_of(one) + 10
    extra = ExtraSlot.objects.create(
        client=one.client,
        subject=one,
        region=local_region(),
        slot=at(slot),
        why=ExtraSlot.Why.RECHECK,
        dispatched_at=at(slot - 5),
    )

    watch(now=at(slot + 24), store=store, invoker=sent)
    extra.refresh_from_db()
    assert extra.closed_at is None
    watch(now=at(slot + 26), store=store, invoker=sent)

    extra.refresh_from_db()
    assert extra.closed_at == at(slot + 26)
    row = Result.objects.across_clients().get(check_id=one.pk)
    assert OUTCOME_OF[row.outcome] is Outcome.MISSED
    assert row.extra


def test_without_an_object_store_lost_rechecks_are_closed(store: ObjectStore, sent: Sent) -> None:
    one = check()
    prepare(store)
    ExtraSlot.objects.create(
        client=one.client,
        subject=one,
        region=local_region(),
        slot=at(MINUTE),
        why=ExtraSlot.Why.RECHECK,
        dispatched_at=at(MINUTE - 5),
    )

    with pytest.raises(StoreUnavailable):
        watch(now=at(OVER), store=StoreAway(), invoker=sent)

    assert ExtraSlot.objects.across_clients().get().closed_at == at(OVER)


def test_lost_batches_wait_for_an_object_store_that_is_away(store: ObjectStore, sent: Sent) -> None:
    one = check()
    prepare(store)
    with pytest.raises(StoreUnavailable):
        watch(now=at(slot_of(one) + 20), store=StoreAway(), invoker=sent)

    assert watch(now=at(slot_of(one) + 30), store=store, invoker=sent).resent == 1


def test_of_a_checks_lost_slots_the_newest_alone_is_probed_again(
    store: ObjectStore, sent: Sent
) -> None:
    check(interval_s=10, timeout_ms=5_000)
    run = prepare(store)

    watch(now=at(MINUTE + 90), store=store, invoker=sent)

    assert run.planned == 6
    (probe,) = (probe for batch in sent.batches for probe in batch.probes)
    assert probe["slot"] >= MINUTE + 50


def test_lost_batches_for_which_no_time_is_left_wait_for_the_next_call(
    store: ObjectStore, sent: Sent, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = check()
    prepare(store)
    with monkeypatch.context() as patched:
        patched.setattr(resending, "SEND_FOR_S", -1.0)
        watch(now=at(slot_of(one) + 20), store=store, invoker=sent)

    assert watch(now=at(slot_of(one) + 30), store=store, invoker=sent).resent == 1


def test_a_slot_that_nobody_sent_out_waits_for_a_job_that_comes_once_a_minute(
    store: ObjectStore, sent: Sent
) -> None:
    one = check()
    slot = slot_of(one) + 10
    extra = ExtraSlot.objects.create(
        client=one.client,
        subject=one,
        region=local_region(),
        slot=at(slot),
        why=ExtraSlot.Why.FIRST,
    )

    watch(now=at(slot + 119), store=store, invoker=sent)
    assert send_due(now=at(slot + 119), invoker=sent).slots == 1
    watch(now=at(slot + 119 + 25), store=store, invoker=sent)
    extra.refresh_from_db()
    assert extra.closed_at is None
    watch(now=at(slot + 119 + 26), store=store, invoker=sent)

    extra.refresh_from_db()
    assert extra.closed_at == at(slot + 119 + 26)


def test_a_region_that_is_away_does_not_hold_up_the_slots_of_another(sent: Sent) -> None:
    mars = ensure_region("mars")
    one = check(regions=[local_region().pk, mars.pk])
    slot = slot_of(one) + 10
    for region in (local_region(), mars):
        ExtraSlot.objects.create(
            client=one.client, subject=one, region=region, slot=at(slot), why="recheck"
        )

    class MarsIsAway(Sent):
        def invoke(self, function: str, payload: Mapping[str, Any]) -> Invoked:
            if payload["region"] == "mars":
                raise InvokeError("mars does not answer", permanent=False)
            return super().invoke(function, payload)

    away = MarsIsAway()
    assert send_due(now=at(slot), invoker=away).slots == 1
    assert send_due(now=at(slot + 5), invoker=away).slots == 0  # mars waits

    assert send_due(now=at(slot + 10), invoker=sent).slots == 1
    assert [batch.region for batch in (*away.batches, *sent.batches)] == ["local", "mars"]


def test_a_slot_that_nobody_ever_sent_out_is_closed(store: ObjectStore, sent: Sent) -> None:
    one = check()
    slot = slot_of(one) + 10
    extra = ExtraSlot.objects.create(
        client=one.client,
        subject=one,
        region=local_region(),
        slot=at(slot),
        why=ExtraSlot.Why.RECHECK,
    )

    assert send_due(now=at(slot + 120), invoker=sent).slots == 0
    watch(now=at(slot + 120), store=store, invoker=sent)

    extra.refresh_from_db()
    assert extra.closed_at == at(slot + 120)


def test_silent_checks_become_unknown_and_up_again_when_heard(
    store: ObjectStore, sent: Sent
) -> None:
    one, paused = check(), check(paused_at=at(MINUTE))
    Check.objects.across_clients().update(state_since=at(MINUTE - 3600))
    answer(one)
    heard = slot_of(one)

    assert watch(now=at(heard + 179), store=store, invoker=sent).silent == 0
    assert watch(now=at(heard + 180), store=store, invoker=sent).silent == 1

    one.refresh_from_db()
    paused.refresh_from_db()
    assert (one.state, one.state_since) == ("unknown", at(heard + 180))
    assert paused.state == "new"
    later = result(one, heard + 240)
    ingest_batch(batch([later]), region=local_region(), now=at(heard + 241))
    one.refresh_from_db()
    assert one.state == "up"
    assert RegionState.objects.across_clients().get().last_at == at(heard + 240)
