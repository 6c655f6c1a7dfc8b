"""What members and operators see, and that pages stay cheap however long a list is."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from alerts.models import Attempt, Channel, Delivery, Notice
from checks.models import BatchReport, DeadLetter, Event, MinuteRun, RegionState, Result
from checks.services import create_check, pause_check, resume_check, update_check
from clients.models import Client, Membership, Role, User
from dashboard.views.checks import verdict_of
from tests.conftest import Personas
from tests.dashboard.rows import make_history, make_incident
from tests.making import make_check

Browse = Callable[[Any], Browser]
pytestmark = pytest.mark.django_db


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


def test_pages_ask_the_anonymous_to_sign_in(browse: Browse) -> None:
    for name in ("overview", "checks", "incidents", "channels", "alerts", "ops-runs", "ops-mail"):
        answer = browse(None).get(reverse(f"dashboard:{name}"))
        assert answer.status_code == 302
        assert answer["Location"].startswith("/accounts/login/")


def test_pages_that_read_refuse_to_be_posted_to(personas: Personas, browse: Browse) -> None:
    check = make_check(personas.client, personas.region)
    for path in ("/", "/checks/", f"/checks/{check.pk}/", "/incidents/", "/alerts/", "/channels/"):
        assert browse(personas.owner).post(path).status_code == 405


def test_a_list_line_has_state_strip_uptime_and_speed(personas: Personas, browse: Browse) -> None:
    check = make_history(personas, name="Shop", down=(0, 1))
    check.state = "down"
    check.save(update_fields=["state"])
    make_incident(check, minutes_ago=2)
    answer = browse(personas.viewer).get("/checks/")
    page = answer.content.decode()
    assert re.search(r'aria-label="Last 60 minutes: 5[78] up; 2 down, last at \d\d:\d\d"', page)
    words = text_of(answer)
    assert "Shop" in words
    assert "100 ms" in words
    assert re.search(r"9\d\.\d\d %", words)
    assert 'data-down-count="1"' in page
    assert "New check" not in words, "a viewer is not offered what a viewer may not do"
    assert "Nobody will be told." in words


def test_what_needs_attention_comes_first_and_filters_stay_in_the_address(
    personas: Personas, browse: Browse
) -> None:
    for name, state in (("a fine", "up"), ("b broken", "down"), ("c slow", "degraded")):
        make_check(personas.client, personas.region, name=name, state=state)
    owner = browse(personas.owner)
    names = re.findall(r'data-check-name="([^"]+)"', owner.get("/checks/").content.decode())
    assert names == ["b broken", "c slow", "a fine"]
    only = owner.get("/checks/?state=degraded").content.decode()
    assert re.findall(r'data-check-name="([^"]+)"', only) == ["c slow"]
    assert "No check matches" in text_of(owner.get("/checks/?q=zzz"))
    assert owner.get("/checks/?page=99&state=nonsense").status_code == 200


def test_a_new_client_is_told_what_to_do_first(personas: Personas, browse: Browse) -> None:
    for path in ("/", "/checks/"):
        assert "Add a check" in text_of(browse(personas.owner).get(path))
        assert "Add a check" not in text_of(browse(personas.viewer).get(path))


def test_the_overview_names_the_worst_first() -> None:
    none = dict.fromkeys(("down", "degraded", "unknown", "new", "up", "paused"), 0)
    assert verdict_of(none | {"up": 42}) == ("up", "All 42 up")
    assert verdict_of(none | {"up": 1, "paused": 3}) == ("up", "Your check is up")
    assert verdict_of(none | {"down": 2, "degraded": 1, "up": 4}) == ("down", "2 down, 1 slow")
    assert verdict_of(none | {"unknown": 2}) == ("unknown", "2 without data")
    assert verdict_of(none | {"paused": 2}) == ("paused", "Everything is paused")
    assert verdict_of(none | {"new": 1}) == ("new", "Waiting for the first results")
    first = verdict_of(none | {"new": 1}, confirming=True)
    assert first == ("confirming", "A first failure is being confirmed")


def test_a_check_has_figures_chart_table_and_results(personas: Personas, browse: Browse) -> None:
    check = make_history(personas, down=(5,))
    member = browse(personas.viewer)
    page = member.get(f"/checks/{check.pk}/?range=1h").content.decode()
    assert 'class="chart"' in page
    assert "Show as table" in page
    assert page.count('id="result-') == 20
    assert "Response time by phase: mean 100 ms" in page
    failures = member.get(f"/checks/{check.pk}/?failures=1").content.decode()
    assert failures.count('id="result-') == 1
    older = re.search(r'href="(\?range=1h&amp;before=\d+)#results"', page)
    assert older
    second = member.get(f"/checks/{check.pk}/{older[1].replace('&amp;', '&')}").content.decode()
    assert second.count('id="result-') == 20
    assert not set(re.findall(r'id="result-([\d-]+)', page)) & set(
        re.findall(r'id="result-([\d-]+)', second)
    )
    assert "data-poll" not in second, "an older page stands still"


def test_one_result_shows_its_phases(personas: Personas, browse: Browse) -> None:
    check = make_history(personas, minutes=3)
    member = browse(personas.viewer)
    page = member.get(f"/checks/{check.pk}/").content.decode()
    link = re.search(rf'href="(/checks/{check.pk}/results/\d+-\d+/)"', page)
    assert link
    assert "Wait 51 ms" in member.get(link[1]).content.decode()
    assert member.get(f"/checks/{check.pk}/results/17-1/").status_code == 404
    assert member.get(f"/checks/{check.pk}/results/{10**30}-1/").status_code == 404


def test_silence_of_ours_is_never_shown_as_up(personas: Personas, browse: Browse) -> None:
    check = make_history(personas)
    from checks.models import RegionState

    RegionState.objects.for_client(personas.client).update(
        last_at=timezone.now() - timedelta(minutes=12)
    )
    words = text_of(browse(personas.owner).get(f"/checks/{check.pk}/"))
    assert "We have not checked since" in words
    assert "our fault" in words


def test_a_poll_costs_nothing_when_nothing_changed(personas: Personas, browse: Browse) -> None:
    make_history(personas, minutes=5)
    member = browse(personas.viewer)
    page = member.get("/checks/").content.decode()
    address = re.search(r'hx-get="([^"]+)"', page)
    assert address
    again = address[1].replace("&amp;", "&")
    assert member.get(again).status_code == 204
    make_check(personas.client, personas.region, name="Another")
    changed = member.get(again)
    assert changed.status_code == 200
    assert b"<html" not in changed.content
    assert b"Another" in changed.content


def test_results_stay_on_the_page_when_the_interval_changes(
    personas: Personas, browse: Browse
) -> None:
    check = make_history(personas, minutes=30)
    member = browse(personas.viewer)
    before = member.get(f"/checks/{check.pk}/?range=1h").content.decode()
    update_check(check, actor=personas.owner, now=timezone.now(), interval_s=300)
    after = member.get(f"/checks/{check.pk}/?range=1h").content.decode()
    found = [set(re.findall(r'id="result-([\d-]+)', page)) for page in (before, after)]
    assert found[0] == found[1]
    assert len(found[1]) == 20
    assert "Response time by phase: mean 100 ms" in after
    words = member.get("/checks/").content.decode()
    assert re.search(r'aria-label="Last 60 minutes: (29|30) up', words)


def test_a_rare_check_fills_its_strip_with_the_result_before_it(
    personas: Personas, browse: Browse
) -> None:
    make_history(personas, minutes=300, interval_s=3 * 3600)
    words = browse(personas.viewer).get("/checks/").content.decode()
    assert 'aria-label="Last 60 minutes: 60 up' in words


def test_incidents_have_a_timeline_with_what_was_sent(personas: Personas, browse: Browse) -> None:
    check = make_check(personas.client, personas.region, name="Shop")
    ongoing = make_incident(check, minutes_ago=5)
    check_2 = make_check(personas.client, personas.region, name="Docs")
    over = make_incident(check_2, minutes_ago=90, minutes=12)
    member = browse(personas.viewer)
    words = text_of(member.get("/incidents/"))
    assert "Ongoing" in words
    assert "12 min" in words
    detail = member.get(f"/incidents/{over.pk}/")
    words = text_of(detail)
    steps = ["Last good answer before", "First failure", "Confirmed down", "First good answer"]
    assert [words.index(step) for step in steps] == sorted(words.index(step) for step in steps)
    assert b"&lt;b&gt;upstream" in detail.content
    assert "2 failing results from local" in words
    assert "No answer within 10 s" in words[words.index("How it was confirmed") :]
    assert re.search("Not met Status 200-299 503", words[words.index("Expected and got") :])
    assert "First bad answer" in words
    assert browse(personas.stranger).get(f"/incidents/{ongoing.pk}/").status_code == 404


def make_delivery(personas: Personas, **fields: Any) -> Delivery:
    channel = Channel.objects.create(
        client=personas.client, kind="webhook", name="Hook", target="https://x.test/secret-path"
    )
    now = timezone.now()
    values: dict[str, Any] = {
        "kind": "down",
        "summary": "Shop is down",
        "message": {"body": '{"type": "down"}'},
        "state": "dead",
        "occurred_at": now,
        "attempts_made": 1,
        "last_error": "Connection refused",
        **fields,
    }
    delivery = Delivery(client=personas.client, channel=channel)
    for name, value in values.items():
        setattr(delivery, name, value)
    delivery.save()
    Attempt.objects.create(
        delivery=delivery,
        client=personas.client,
        number=1,
        started_at=now,
        duration_ms=12,
        ok=False,
        status="connection",
        answer="Connection refused",
    )
    return delivery


def test_alert_history_shows_each_try_and_hides_the_target(
    personas: Personas, browse: Browse
) -> None:
    delivery = make_delivery(personas)
    member = browse(personas.viewer)
    assert "Shop is down" in text_of(member.get("/alerts/?state=failed"))
    assert "No message in this state" in text_of(member.get("/alerts/?state=sent"))
    detail = member.get(f"/alerts/{delivery.pk}/")
    assert "Connection refused" in text_of(detail)
    assert b"secret-path" not in detail.content
    assert b"Send again" not in detail.content
    assert b"Send again" in browse(personas.editor).get(f"/alerts/{delivery.pk}/").content
    assert b"secret-path" not in member.get("/channels/").content


def test_what_was_not_sent_is_listed_with_the_reason(personas: Personas, browse: Browse) -> None:
    member = browse(personas.viewer)
    assert "Nothing was held back" in text_of(member.get("/alerts/?state=withheld"))
    check = make_check(personas.client, personas.region, name="Shop")
    incident = make_incident(check, minutes_ago=5)
    event = Event.objects.create(
        client=personas.client,
        subject=check,
        incident=incident,
        kind=Event.Kind.DOWN,
        at=incident.opened_at,
        payload={"message": "HTTP 503 <b>"},
    )
    channel = Channel.objects.create(
        client=personas.client, kind="email", name="Night", target="a@b.test", enabled=False
    )
    Notice.objects.create(
        client=personas.client,
        event=event,
        channel=channel,
        kind="down",
        withheld="The channel is switched off.",
    )
    page = member.get("/alerts/?state=withheld")
    words = text_of(page)
    for word in ("Not sent", "Shop", "Down: HTTP 503", "Night", "The channel is switched off."):
        assert word in words
    assert f'href="/incidents/{incident.pk}/"' in page.content.decode()
    stranger = browse(personas.stranger).get("/alerts/?state=withheld")
    assert "Shop" not in text_of(stranger)


def test_operators_see_runs_alerts_and_mail_without_clients_secrets(
    personas: Personas, browse: Browse
) -> None:
    minute = timezone.now().replace(second=0, microsecond=0) - timedelta(minutes=3)
    MinuteRun.objects.create(
        minute=minute,
        region=personas.region,
        planned=15,
        answered=8,
        missed=2,
        excluded=5,
        closed_at=minute,
    )
    BatchReport.objects.create(
        minute=minute,
        region=personas.region,
        batch=1,
        attempt=1,
        results=8,
        accepted=8,
        duplicates=0,
        started_at=minute,
        duration_ms=900,
        in_flight=25,
        lag_p50_ms=1,
        lag_p99_ms=4,
        cold_start=False,
    )
    make_delivery(personas)
    operator = browse(personas.operator)
    runs = operator.get("/ops/runs/")
    assert "80.00 %" in text_of(runs)
    assert "8 of 10, 5 excluded" in text_of(runs)
    assert "Partial" in text_of(runs)
    detail = operator.get(f"/ops/runs/{minute:%Y%m%dT%H%M}/")
    assert "8 of 10 answered" in text_of(detail)
    assert operator.get("/ops/runs/nonsense/").status_code == 404
    everyone = operator.get("/ops/alerts/")
    assert "Acme" in text_of(everyone)
    assert b"secret-path" not in everyone.content

    folder = Path(settings.EMAIL_FILE_PATH)
    folder.mkdir(parents=True, exist_ok=True)
    letter = folder / "letter.eml"
    letter.write_bytes(b"To: on@call.test\r\nSubject: Shop is down\r\n\r\nSee http://x.test/1\r\n")
    assert "Shop is down" in text_of(operator.get("/ops/mail/"))
    assert b'href="http://x.test/1"' in operator.get("/ops/mail/letter.eml/").content
    assert operator.get("/ops/mail/..%2F..%2Fsecret/").status_code == 404
    letter.unlink()
    for path in ("/ops/runs/", "/ops/alerts/", "/ops/mail/", "/ops/mail/letter.eml/"):
        assert browse(personas.owner).get(path).status_code == 403


def test_someone_without_a_client_is_told_so(browse: Browse) -> None:
    alone = User.objects.create_user("alone@nowhere.test", "long enough password")
    answer = browse(alone).get("/")
    assert answer.status_code == 403
    assert "not a member of any client" in text_of(answer)
    assert b"Sign in as somebody else" in answer.content


def test_an_operator_without_a_client_begins_with_the_runs(
    personas: Personas, browse: Browse
) -> None:
    assert browse(personas.operator).get("/")["Location"] == "/ops/runs/"


def test_a_member_of_two_clients_switches_between_them(personas: Personas, browse: Browse) -> None:
    other = Client.objects.create(name="Beta", slug="beta")
    Membership.objects.create(client=other, user=personas.owner, role=Role.VIEWER)
    make_check(personas.client, personas.region, name="Of Acme")
    make_check(other, personas.region, name="Of Beta")
    browser = browse(personas.owner)
    assert "Of Acme" in text_of(browser.get("/checks/"))
    assert browser.post("/account/client/", {"client": "beta"}).status_code == 302
    assert "Of Beta" in text_of(browser.get("/checks/"))
    assert browser.post("/account/client/", {"client": "other"}).status_code == 404


def test_the_theme_is_in_the_first_byte_and_leads_back_only_to_us(
    personas: Personas, browse: Browse
) -> None:
    browser = browse(personas.viewer)
    assert b"data-theme=" not in browser.get("/checks/").content.split(b">", 2)[1]
    chosen = browser.post("/account/theme/", {"theme": "dark", "next": "/checks/"})
    assert chosen["Location"] == "/checks/"
    assert b'<html lang="en" data-theme="dark">' in browser.get("/checks/").content
    away = browser.post("/account/theme/", {"theme": "light", "next": "https://evil.test/"})
    assert away["Location"] == "/"
    assert browser.post("/account/theme/", {"theme": "pink"}).status_code == 400


def test_times_are_in_the_readers_zone_and_say_which(personas: Personas, browse: Browse) -> None:
    check = make_history(personas, minutes=3)
    User.objects.filter(pk=personas.viewer.pk).update(time_zone="Asia/Tokyo")
    assert " JST</time>" in browse(personas.viewer).get(f"/checks/{check.pk}/").content.decode()
    assert " UTC</time>" in browse(personas.owner).get(f"/checks/{check.pk}/").content.decode()


def test_errors_are_told_in_words(personas: Personas, browse: Browse) -> None:
    missing = browse(personas.owner).get("/checks/999999/")
    assert missing.status_code == 404
    assert "This page does not exist" in text_of(missing)


def test_a_nul_in_a_filter_is_no_error(personas: Personas, browse: Browse) -> None:
    make_check(personas.client, personas.region, name="Shop")
    owner, operator = browse(personas.owner), browse(personas.operator)
    assert "Shop" in text_of(owner.get("/checks/?q=%00sho%00p"))
    for path in ("/checks/?q=%00", "/checks/?state=%00&page=%00", "/alerts/?state=%00&before=%00"):
        assert owner.get(path).status_code == 200
    assert owner.get("/incidents/?before=%00").status_code == 200
    for path in ("/ops/runs/?before=%00", "/ops/alerts/?state=%00&before=%00"):
        assert operator.get(path).status_code == 200
    for path in ("/ops/runs/%00/", "/ops/mail/%00/"):
        assert operator.get(path).status_code == 404
    assert owner.post("/account/client/", {"client": "\0"}).status_code == 404


def test_minutes_that_still_run_are_no_loss(personas: Personas, browse: Browse) -> None:
    now = timezone.now().replace(second=0, microsecond=0)
    closed, running = now - timedelta(minutes=3), now - timedelta(minutes=2)
    counters: dict[str, Any] = {"region": personas.region, "planned": 10}
    MinuteRun.objects.create(minute=closed, answered=10, closed_at=now, dispatched=10, **counters)
    MinuteRun.objects.create(minute=running, answered=4, **counters)
    operator = browse(personas.operator)
    runs = text_of(operator.get("/ops/runs/"))
    assert "100 % 10 of 10" in runs
    assert "Dispatched 10" in text_of(operator.get(f"/ops/runs/{closed:%Y%m%dT%H%M}/"))
    assert "Dispatched –" in text_of(operator.get(f"/ops/runs/{running:%Y%m%dT%H%M}/"))


def test_a_run_says_how_its_invocations_went(personas: Personas, browse: Browse) -> None:
    now = timezone.now().replace(second=0, microsecond=0)
    rough, smooth, fresh = (now - timedelta(minutes=each) for each in (5, 4, 1))
    report: dict[str, Any] = {"region": personas.region, "dispatch_report": {"batches": 1}}
    MinuteRun.objects.create(
        minute=rough, throttled=1_200, retried=14, failed=2, dead_letters=1, alarm="x", **report
    )
    MinuteRun.objects.create(minute=smooth, **report)
    MinuteRun.objects.create(minute=fresh, region=personas.region)
    DeadLetter.objects.create(
        request_id="e4b46cbf",
        minute=rough,
        region=personas.region,
        function="worker",
        condition="EventAgeExceeded",
        invocations=0,
        batches=[77],
    )
    operator = browse(personas.operator)

    runs = text_of(operator.get("/ops/runs/"))
    assert "1,200 throttled, 14 retried" in runs
    assert runs.count("throttled") == 1

    detail = text_of(operator.get(f"/ops/runs/{rough:%Y%m%dT%H%M}/"))
    assert "Invocations 1,200 throttled, 14 retried, 2 batches not started, 1 given up" in detail
    assert "1 dead letter" in detail
    assert "worker" in detail
    assert "too old" in detail
    quiet = text_of(operator.get(f"/ops/runs/{smooth:%Y%m%dT%H%M}/"))
    assert "Invocations all accepted at the first try" in quiet
    assert "dead letter" not in quiet
    unknown = text_of(operator.get(f"/ops/runs/{fresh:%Y%m%dT%H%M}/"))
    assert "Invocations not known yet" in unknown


def test_operators_do_not_read_links_that_set_a_password(
    personas: Personas, browse: Browse
) -> None:
    browse(None).post("/accounts/password/reset/", {"email": personas.owner.email})
    (sent,) = mail.outbox
    link = re.search(r"/accounts/password/reset/key/([^\s/]+)/", str(sent.body))
    assert link
    letter = EmailMultiAlternatives("Reset", str(sent.body), to=[personas.owner.email])
    letter.attach_alternative(f'<a href="http://x.test{link[0]}">Set it</a>', "text/html")
    folder = Path(settings.EMAIL_FILE_PATH)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "reset.eml"
    file.write_bytes(letter.message().as_bytes())
    page = browse(personas.operator).get("/ops/mail/reset.eml/").content.decode()
    file.unlink()
    assert link[1] not in page
    assert page.count("/accounts/password/reset/key/[hidden]/") >= 2


def test_a_new_check_says_what_comes_next(personas: Personas, browse: Browse) -> None:
    now = timezone.now()
    check = create_check(
        client=personas.client, actor=personas.owner, now=now, url="http://x.test/"
    )
    owner = browse(personas.owner)
    fresh = text_of(owner.get(f"/checks/{check.pk}/"))
    assert "Next check first result within seconds" in fresh
    assert "Last check not yet" in fresh
    assert "– no successful answers yet" in fresh
    assert "Waiting for the first results" in text_of(owner.get("/"))

    RegionState.objects.create(
        check_id=check.pk, region=check.regions[0], client=personas.client, memory=[], last_at=now
    )
    failing = text_of(owner.get(f"/checks/{check.pk}/"))
    assert "Being confirmed" in failing
    assert "first result within seconds" not in failing
    overview = text_of(owner.get("/"))
    assert "A first failure is being confirmed" in overview
    assert "Waiting for the first results" not in overview

    later = now + timedelta(minutes=5)
    pause_check(check, actor=personas.owner, now=later)
    resume_check(check, actor=personas.owner, now=later)
    assert "not since it was resumed" in text_of(owner.get(f"/checks/{check.pk}/"))


def test_changes_show_old_and_new_but_no_secrets(personas: Personas, browse: Browse) -> None:
    check = make_check(personas.client, personas.region)
    update_check(
        check,
        actor=personas.owner,
        now=timezone.now(),
        interval_s=300,
        verify_tls=False,
        keyword=["a <b>", "c"],
        headers={"X-Token": "hush"},
    )
    answer = browse(personas.viewer).get(f"/checks/{check.pk}/")
    words = text_of(answer)
    assert "Interval: every minute → became every 5 minutes" in words
    assert "TLS verification: on → became off" in words
    assert "Text present: none → became a &lt;b&gt;, c" in words
    assert "Changed headers, interval, text present, TLS verification" in words
    assert "hush" not in words
    assert "(hidden)" not in words


def test_results_outside_the_schedule_are_called_extra(personas: Personas, browse: Browse) -> None:
    check = make_history(personas, minutes=5)
    Result.objects.for_client(personas.client).filter(check_id=check.pk).update(extra=True)
    words = text_of(browse(personas.viewer).get(f"/checks/{check.pk}/"))
    assert "As expected extra" in words
    assert "recheck" not in words


def test_account_pages_and_mails_speak_our_words(personas: Personas, browse: Browse) -> None:
    owner = browse(personas.owner)
    for path, title in (
        ("/accounts/2fa/", "Two-factor authentication"),
        ("/accounts/email/", "Email addresses"),
        ("/accounts/password/change/", "Change password"),
    ):
        page = owner.get(path).content.decode()
        assert f"<h1>{title}</h1>" in page
        assert re.search(rf"<title>\s*{title}\s* · Uptime</title>", page)
        assert 'aria-label="Main"' in page, "inside our frame"
    assert "Current password" in text_of(owner.get("/accounts/password/change/"))

    visitor = browse(None)
    visitor.post("/accounts/password/reset/", {"email": personas.owner.email})
    (sent,) = mail.outbox
    assert sent.subject == "Reset your Uptime password"
    assert "example.com" not in str(sent.body)
    link = re.search(r"/accounts/password/reset/key/\S+", str(sent.body))
    assert link
    assert "Set a new password" in text_of(visitor.get(link[0], follow=True))
    stale = visitor.get("/accounts/password/reset/key/1-nonsense/")
    assert "This link no longer works" in text_of(stale)

    visitor.post("/accounts/password/reset/", {"email": "nobody@nowhere.test"})
    assert mail.outbox[-1].subject == "No Uptime account has this address"
    assert "/signup" not in str(mail.outbox[-1].body), "accounts are made by invitation"


def test_the_dock_marks_one_page(personas: Personas, browse: Browse) -> None:
    def current(user: User, path: str) -> list[str]:
        page = browse(user).get(path).content.decode()
        dock = page[page.index('class="dock"') :]
        links = re.findall(r'class="dock-link"[^>]*aria-current[^>]*>.*?</svg>\s*(\w+)', dock, re.S)
        return [str(word) for word in links]

    assert current(personas.operator, "/ops/runs/") == ["Minute"]
    assert current(personas.owner, "/checks/") == ["Checks"]
    assert current(personas.owner, "/channels/") == ["More"]
